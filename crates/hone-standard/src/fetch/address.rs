//! Which hosts may be asked, and which addresses may be connected to.

use fluent_uri::{Uri, UriRef};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Longest address, in bytes.
pub const MAX_URL: usize = 2000;

/// Why an address is not fetched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It cannot be read.
    #[error(
        "this is no address of a page; write one such as https://example.org/path, other letters than ASCII as %XX"
    )]
    Form,
    /// It is not HTTP.
    #[error("only http:// and https:// addresses are fetched; use one of those")]
    Scheme,
    /// It holds a user name or a password.
    #[error("addresses with a user name or a password are not fetched; leave it out")]
    User,
    /// It goes from https to http.
    #[error("a redirect leads from https to http, which is not followed; use another page")]
    Downgrade,
    /// The host is none of those that are allowed.
    #[error("{host} is not among the hosts that may be asked: {allowed}; use one of those")]
    Host {
        /// Host and port.
        host: String,
        /// The list.
        allowed: String,
    },
    /// The host's address is inside of somebody's network.
    #[error("{host} is at {address}, which is {what}; such addresses are not asked, use another host")]
    Inside {
        /// The host.
        host: String,
        /// Its address.
        address: IpAddr,
        /// What kind of address that is.
        what: &'static str,
    },
}

/// An address that can be asked, once its host is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Whether it is HTTPS.
    pub secure: bool,
    /// Host in lower case, without a final point; IPv6 without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Path and query as sent, beginning with `/`.
    pub path: String,
}

/// A host as it is kept (RFC 3986, section 3.2.2): an address of IPv6 without its brackets, or a name in lower case and without
/// a final point. An address of IPv4 is a name of digits.
fn host(written: &str) -> Option<String> {
    if let Some(address) = written.strip_prefix('[') {
        let address: Ipv6Addr = address.strip_suffix(']')?.parse().ok()?;
        return Some(address.to_string());
    }
    let name = written.to_ascii_lowercase();
    let name = name.strip_suffix('.').unwrap_or(&name);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (!name.is_empty() && name.len() <= 253 && name.chars().all(plain)).then(|| name.to_owned())
}

impl Target {
    /// Read an address.
    ///
    /// # Errors
    /// When it is none, or of a kind that is not fetched.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if text.len() > MAX_URL {
            return Err(AddressError::Form);
        }
        let uri = Uri::parse(text.trim()).map_err(|_| AddressError::Form)?;
        let secure = match uri.scheme().as_str().to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err(AddressError::Scheme),
        };
        let authority = uri.authority().ok_or(AddressError::Form)?;
        if authority.userinfo().is_some() {
            return Err(AddressError::User);
        }
        let host = host(authority.host()).ok_or(AddressError::Form)?;
        let port = match authority.port().map(|port| port.as_str()) {
            None | Some("") => {
                if secure {
                    443
                } else {
                    80
                }
            }
            Some(port) => port.parse().map_err(|_| AddressError::Form)?,
        };
        let mut path = uri.path().as_str().to_owned();
        if path.is_empty() {
            path.push('/');
        }
        if let Some(query) = uri.query() {
            path = format!("{path}?{}", query.as_str());
        }
        Ok(Self {
            secure,
            host,
            port,
            path,
        })
    }

    /// Where a redirect or a link of this page leads.
    ///
    /// # Errors
    /// As [`Target::parse`], and when it leads from https to http.
    pub fn follow(&self, reference: &str) -> Result<Self, AddressError> {
        let target = Self::parse(&self.absolute(reference).ok_or(AddressError::Form)?)?;
        match self.secure && !target.secure {
            true => Err(AddressError::Downgrade),
            false => Ok(target),
        }
    }

    /// A reference of this page as a whole address (RFC 3986, section 5.2).
    pub fn absolute(&self, reference: &str) -> Option<String> {
        let url = self.url();
        let base = Uri::parse(url.as_str()).ok()?;
        let reference = UriRef::parse(reference.trim()).ok()?;
        let resolved = reference.resolve_against(&base).ok()?;
        Some(resolved.as_str().to_owned())
    }

    /// The address as text.
    pub fn url(&self) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        format!("{scheme}://{}{}", self.authority(), self.path)
    }

    /// Host, with the port where it is not the usual one.
    pub fn authority(&self) -> String {
        let host = match self.host.contains(':') {
            true => format!("[{}]", self.host),
            false => self.host.clone(),
        };
        match self.port == if self.secure { 443 } else { 80 } {
            true => host,
            false => format!("{host}:{}", self.port),
        }
    }
}

/// The hosts that may be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed(Vec<Entry>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    written: String,
    host: String,
    /// Whether all hosts below it are meant, and not it.
    below: bool,
    port: Option<u16>,
}

impl Allowed {
    /// Read a list of `host`, `*.host` and `host:port`.
    ///
    /// # Errors
    /// The entry that cannot be read.
    pub fn parse(entries: &[String]) -> Result<Self, String> {
        let read = |written: &String| {
            let (below, rest) = match written.strip_prefix("*.") {
                Some(rest) => (true, rest),
                None => (false, written.as_str()),
            };
            let target = Target::parse(&format!("http://{rest}"))
                .ok()
                .filter(|target| target.path == "/" && !rest.contains('/'))?;
            let port = rest
                .rsplit_once(':')
                .filter(|(_, port)| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()));
            Some(Entry {
                written: written.clone(),
                host: target.host,
                below,
                port: port.map(|_| target.port),
            })
        };
        let entries: Result<Vec<Entry>, String> = entries
            .iter()
            .map(|entry| read(entry).ok_or_else(|| entry.clone()))
            .collect();
        entries.map(Self)
    }

    /// Whether a host may be asked: without a port in its entry, at the usual one.
    ///
    /// # Errors
    /// Names the hosts that may.
    pub fn check(&self, target: &Target) -> Result<(), AddressError> {
        let fits = |entry: &Entry| {
            let host = match entry.below {
                true => target
                    .host
                    .strip_suffix(&entry.host)
                    .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
                false => target.host == entry.host,
            };
            let usual = target.port == if target.secure { 443 } else { 80 };
            host && entry.port.map_or(usual, |port| target.port == port)
        };
        if self.0.iter().any(fits) {
            return Ok(());
        }
        let mut allowed: Vec<&str> = self.0.iter().take(12).map(|entry| entry.written.as_str()).collect();
        if self.0.len() > allowed.len() {
            allowed.push("and others");
        }
        Err(AddressError::Host {
            host: target.authority(),
            allowed: allowed.join(", "),
        })
    }
}

/// What kind of address it is, if it is not a public one: those that IANA's registries of special-purpose addresses (RFC 6890)
/// do not call globally reachable, and addresses in which such a one is embedded. With `private`, hosts of one's own network
/// and machine are let through, but never those where clouds keep their secrets.
pub fn inside(address: IpAddr, private: bool) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => inside_v4(address, private),
        IpAddr::V6(address) => inside_v6(address, private),
    }
}

fn inside_v4(address: Ipv4Addr, private: bool) -> Option<&'static str> {
    let [a, b, c, _] = address.octets();
    let own = match (a, b) {
        (127, _) => Some("this machine"),
        (10, _) | (172, 16..=31) | (192, 168) => Some("a private network"),
        _ => None,
    };
    if own.is_some() {
        return own.filter(|_| !private);
    }
    match (a, b, c) {
        (0, _, _) => Some("this machine"),
        (169, 254, _) => Some("link-local, where clouds keep their metadata"),
        (100, 64..=127, _) => Some("shared by a provider's network"),
        (192, 0, 0 | 2) | (198, 51, 100) | (203, 0, 113) | (198, 18..=19, _) | (192, 88, 99) => Some("reserved"),
        (224.., _, _) => Some("multicast or reserved"),
        _ => None,
    }
}

fn inside_v6(address: Ipv6Addr, private: bool) -> Option<&'static str> {
    let segments = address.segments();
    let v4 = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        Ipv4Addr::new(a, b, c, d)
    };
    match segments {
        [0, 0, 0, 0, 0, 0, 0, 1] if private => None,
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => Some("this machine"),
        // Mapped, NAT64 and 6to4: what counts is the address within.
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => inside_v4(v4(high, low), private),
        [0x2002, high, low, ..] => inside_v4(v4(high, low), false),
        [0xfd00, 0xec2, ..] => Some("where clouds keep their metadata"),
        [0xfc00..=0xfdff, ..] if private => None,
        [0xfc00..=0xfdff, ..] => Some("a private network"),
        [0xfe80..=0xfebf, ..] => Some("link-local"),
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Some("reserved"),
        [0x2000..=0x3fff, ..] => None,
        _ => Some("not a public address"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_refused() {
        let target = Target::parse("HTTPS://Example.ORG.:8443/a%20b?q=1#part").unwrap();
        assert_eq!(target.url(), "https://example.org:8443/a%20b?q=1");
        assert_eq!(
            Target::parse("http://example.org").unwrap().url(),
            "http://example.org/"
        );
        assert_eq!(Target::parse("http://[::1]:80/").unwrap().url(), "http://[::1]/");
        assert_eq!(Target::parse("http://[0:0::FFFF]/").unwrap().host, "::ffff");
        assert_eq!(Target::parse("http://127.0.0.1/").unwrap().host, "127.0.0.1");
        for (text, error) in [
            ("example.org", AddressError::Form),
            ("", AddressError::Form),
            ("//example.org/x", AddressError::Form),
            ("http://", AddressError::Form),
            ("http:///path", AddressError::Form),
            ("http://exa mple.org/", AddressError::Form),
            ("http://example.org/a b", AddressError::Form),
            ("http://münchen.de/", AddressError::Form),
            ("http://exa%6dple.org/", AddressError::Form),
            ("http://example.org:99999/", AddressError::Form),
            ("http://[127.0.0.1]/", AddressError::Form),
            ("http://[v1.fe80]/", AddressError::Form),
            ("http://[fe80::1%25eth0]/", AddressError::Form),
            ("http://example.org\r\nHost: x/", AddressError::Form),
            ("file:///etc/passwd", AddressError::Scheme),
            ("ftp://example.org/", AddressError::Scheme),
            ("javascript:alert(1)", AddressError::Scheme),
            ("http://good.org@evil.org/", AddressError::User),
            ("http://user:pass@good.org/", AddressError::User),
        ] {
            assert_eq!(Target::parse(text).unwrap_err(), error, "{text}");
        }
        assert!(Target::parse(&format!("http://example.org/{}", "x".repeat(MAX_URL))).is_err());
    }

    #[test]
    fn redirects_are_resolved_as_the_rfc_says() {
        // RFC 3986, section 5.4, on its base http://a/b/c/d;p?q.
        let base = Target::parse("http://a/b/c/d;p?q").unwrap();
        for (reference, expected) in [
            ("g", "http://a/b/c/g"),
            ("./g", "http://a/b/c/g"),
            ("g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//g", "http://g"),
            ("?y", "http://a/b/c/d;p?y"),
            ("g?y", "http://a/b/c/g?y"),
            ("", "http://a/b/c/d;p?q"),
            (".", "http://a/b/c/"),
            ("..", "http://a/b/"),
            ("../g", "http://a/b/g"),
            ("../../g", "http://a/g"),
            ("../../../g", "http://a/g"),
            ("/./g", "http://a/g"),
            ("g;x=1/../y", "http://a/b/c/y"),
        ] {
            assert_eq!(base.absolute(reference).as_deref(), Some(expected), "{reference}");
        }
        let secure = Target::parse("https://a/").unwrap();
        assert_eq!(secure.follow("http://a/"), Err(AddressError::Downgrade));
        assert_eq!(base.follow("gopher://a/"), Err(AddressError::Scheme));
        assert_eq!(base.follow("//x@a/"), Err(AddressError::User));
    }

    #[test]
    fn only_hosts_of_the_list_are_allowed() {
        let list = ["example.org", "*.wiki.test", "local:8080", "[::1]:81", "10.0.0.1"].map(str::to_owned);
        let allowed = Allowed::parse(&list).unwrap();
        for (url, fits) in [
            ("https://example.org/x", true),
            ("http://EXAMPLE.org./", true),
            ("https://example.org:8443/", false),
            ("http://sub.example.org/", false),
            ("http://example.org.evil.test/", false),
            ("http://notexample.org/", false),
            ("http://de.wiki.test/", true),
            ("http://a.b.wiki.test/", true),
            ("http://wiki.test/", false),
            ("http://evilwiki.test/", false),
            ("http://local:8080/", true),
            ("http://local/", false),
            ("http://[::1]:81/", true),
            ("http://[::1]/", false),
            ("http://10.0.0.1/", true),
            ("http://10.0.0.2/", false),
            ("http://167772161/", false),
        ] {
            assert_eq!(allowed.check(&Target::parse(url).unwrap()).is_ok(), fits, "{url}");
        }
        for wrong in [
            "",
            "http://example.org",
            "example.org/path",
            "*",
            "a b",
            "*.",
            "user@example.org",
            "example.org:port",
        ] {
            assert!(Allowed::parse(&[wrong.to_owned()]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn inner_addresses_are_told_from_public_ones() {
        for public in [
            "1.1.1.1",
            "8.8.8.8",
            "172.32.0.1",
            "100.128.0.1",
            "192.1.0.1",
            "2606:4700::1111",
            "64:ff9b::808:808",
            "::ffff:8.8.8.8",
        ] {
            assert_eq!(inside(public.parse().unwrap(), false), None, "{public}");
        }
        let own = [
            "127.0.0.1",
            "127.9.9.9",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "::1",
            "fd12::1",
            "::ffff:127.0.0.1",
            "64:ff9b::a00:1",
        ];
        for inner in own {
            assert!(inside(inner.parse().unwrap(), false).is_some(), "{inner}");
            assert!(inside(inner.parse().unwrap(), true).is_none(), "{inner}");
        }
        for never in [
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "100.64.0.1",
            "100.100.100.200",
            "192.0.0.192",
            "192.0.2.1",
            "198.18.0.1",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "3fff::1",
            "5f00::1",
            "100::1",
            "fd00:ec2::254",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "::127.0.0.1",
        ] {
            for private in [false, true] {
                assert!(inside(never.parse().unwrap(), private).is_some(), "{never} {private}");
            }
        }
    }
}
