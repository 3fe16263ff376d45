//! The file system that code sees: a new root in memory with the system's programs bound in, read-only.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::libc;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::unistd::{Gid, Uid, chdir, chown, pivot_root};

use super::helper::{Failure, Step};
use crate::Spec;

/// The folders below `/` that belong to the system's programs. Some are links into `/usr`.
const SYSTEM: &[&str] = &["usr", "bin", "sbin", "lib", "lib64", "lib32", "libx32", "nix/store"];
/// Files without secrets that programs look at.
const CONFIGURATION: &[&str] = &["etc/ld.so.cache", "etc/alternatives", "etc/mime.types", "etc/fonts"];
/// What is needed where there is a network.
const FOR_NETWORK: &[&str] = &["etc/resolv.conf", "etc/ssl/certs", "etc/ca-certificates"];
/// Names that tasks written for containers use, for places that can be written to.
const LINKS: [(&str, &str); 4] = [
    ("/app", "/work"),
    ("/logs", "/tmp/logs"),
    ("/tests", "/tmp/tests"),
    ("/solution", "/tmp/solution"),
];
const DEVICES: &[&str] = &["null", "zero", "full", "random", "urandom"];
/// Where the old root hangs while the new one is built.
const OLD: &str = "/.old";
/// An empty folder that stays: where sandboxes inside prepare their own writable folders.
const BOX: &str = "/.box";

/// Makes the new root of the calling process, which is the first of its PID namespace and alone in its mount
/// namespace. `owner` is who the writable folders belong to.
pub(super) fn build(spec: &Spec, owner: (Uid, Gid)) -> Result<(), Failure> {
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).step("keep mounts private")?;
    // The staging place is of no matter: the root moves off it, and what it covers comes to light again.
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(
        Some("tmpfs"),
        "/tmp",
        Some("tmpfs"),
        flags,
        Some("size=1m,nr_inodes=4096,mode=0755"),
    )
    .step("mount a new root")?;
    fs::create_dir(Path::new("/tmp").join(&OLD[1..])).step("make a folder for the old root")?;
    pivot_root("/tmp", &*format!("/tmp{OLD}")).step("change the root")?;
    chdir("/").step("enter the new root")?;

    system()?;
    for name in CONFIGURATION {
        bind_if_there(name)?;
    }
    if spec.network == crate::Network::Host {
        for name in FOR_NETWORK {
            bind_if_there(name)?;
        }
    }
    accounts()?;
    devices()?;
    for bind in &spec.binds {
        let inside = bind
            .inside
            .strip_prefix("/")
            .map_err(|_| Failure::new("bind", Errno::EINVAL))?;
        let host = bind
            .host
            .strip_prefix("/")
            .map_err(|_| Failure::new("bind", Errno::EINVAL))?;
        bind_read_only(&Path::new(OLD).join(host), &Path::new("/").join(inside))?;
    }
    for folder in ["/proc", "/tmp", "/work", "/dev/shm", BOX] {
        fs::create_dir_all(folder).step("make the folders of the root")?;
    }
    for (link, target) in LINKS {
        // A bind may have the name.
        if fs::symlink_metadata(link).is_err() {
            symlink(target, link).step("make a link of the root")?;
        }
    }
    writable(spec.limits.disk, owner)?;
    proc(spec.nesting)?;

    umount2(OLD, MntFlags::MNT_DETACH).step("leave the old root")?;
    fs::remove_dir(OLD).step("leave the old root")?;
    read_only(Path::new("/"), false)
}

fn system() -> Result<(), Failure> {
    for name in SYSTEM {
        let (host, inside) = (Path::new(OLD).join(name), Path::new("/").join(name));
        match fs::symlink_metadata(&host) {
            Ok(found) if found.is_symlink() => {
                let target = fs::read_link(&host).step("read a link of the system")?;
                symlink(target, inside).step("make a link of the system")?;
            }
            Ok(_) => bind_read_only(&host, &inside)?,
            Err(_) => {}
        }
    }
    Ok(())
}

fn bind_if_there(name: &str) -> Result<(), Failure> {
    let host = Path::new(OLD).join(name);
    // Links in /etc often lead elsewhere on the host (/run, /etc/static): follow them there.
    let Some(host) = resolve(&host) else { return Ok(()) };
    bind_read_only(&host, &Path::new("/").join(name))
}

/// Follows links as the host would.
fn resolve(path: &Path) -> Option<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..8 {
        if !fs::symlink_metadata(&path).ok()?.is_symlink() {
            return Some(path);
        }
        let target = fs::read_link(&path).ok()?;
        path = match target.strip_prefix("/") {
            Ok(below) => Path::new(OLD).join(below),
            Err(_) => path.parent()?.join(target),
        };
    }
    None
}

fn bind_read_only(host: &Path, inside: &Path) -> Result<(), Failure> {
    let found = fs::metadata(host).step(&format!("look at {}", shown(host)))?;
    if let Some(parent) = inside.parent() {
        fs::create_dir_all(parent).step("make a place for a bind")?;
    }
    if found.is_dir() {
        fs::create_dir_all(inside).step("make a place for a bind")?;
    } else {
        fs::write(inside, "").step("make a place for a bind")?;
    }
    let none = None::<&str>;
    mount(Some(host), inside, none, MsFlags::MS_BIND | MsFlags::MS_REC, none).step(&format!("bind {}", shown(host)))?;
    read_only(inside, true)
}

fn shown(host: &Path) -> String {
    host.strip_prefix(OLD)
        .map_or_else(|_| host.display().to_string(), |below| format!("/{}", below.display()))
}

/// Makes a mount read-only, and with `all` everything mounted below it, without set-uid programs and devices.
fn read_only(path: &Path, all: bool) -> Result<(), Failure> {
    let path = std::ffi::CString::new(path.as_os_str().as_encoded_bytes())
        .map_err(|_| Failure::new("make a mount read-only", Errno::EINVAL))?;
    let mut attributes: libc::mount_attr = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    // The root of the tmpfs holds the devices' mounts, which are mounts of their own.
    let flags = if all { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: a system call with a path that ends in NUL and a structure of the size that we name; both outlive it.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            flags,
            &raw mut attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    Errno::result(result).map(drop).step("make a mount read-only")
}

/// Who there is. The names are ours: the host's accounts are none of the code's business.
fn accounts() -> Result<(), Failure> {
    fs::create_dir_all("/etc").step("make /etc")?;
    let files = [
        (
            "passwd",
            "root:x:0:0:root:/:/sbin/nologin\nuser:x:1000:1000:user:/work:/bin/bash\n",
        ),
        ("group", "root:x:0:\nuser:x:1000:\n"),
        ("hosts", "127.0.0.1 localhost\n::1 localhost\n"),
        ("hostname", "sandbox\n"),
        ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
    ];
    for (name, text) in files {
        fs::write(Path::new("/etc").join(name), text).step("fill /etc")?;
    }
    Ok(())
}

fn devices() -> Result<(), Failure> {
    fs::create_dir_all("/dev").step("make /dev")?;
    let none = None::<&str>;
    for name in DEVICES {
        let (host, inside) = (format!("{OLD}/dev/{name}"), format!("/dev/{name}"));
        fs::write(&inside, "").step("make a device's place")?;
        mount(Some(&*host), &*inside, none, MsFlags::MS_BIND, none).step("bind a device")?;
    }
    for (name, target) in [("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")] {
        symlink(format!("/proc/self/fd{target}"), format!("/dev/{name}")).step("make a link in /dev")?;
    }
    Ok(())
}

/// One file system in memory holds all that can be written, so that one bound covers it.
fn writable(size: u64, (uid, gid): (Uid, Gid)) -> Result<(), Failure> {
    let none = None::<&str>;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    // An inode costs about 1 KiB that `size` does not count.
    let options = format!("size={size},nr_inodes={},mode=0755", (size >> 12).clamp(64, 65536));
    mount(Some("tmpfs"), BOX, Some("tmpfs"), flags, Some(&*options)).step("mount the writable folders")?;
    for (name, target, mode) in [
        ("tmp", "/tmp", 0o1777),
        ("work", "/work", 0o755),
        ("shm", "/dev/shm", 0o1777),
    ] {
        let folder = format!("{BOX}/{name}");
        fs::create_dir(&folder).step("make the writable folders")?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).step("make the writable folders")?;
        chown(&*folder, Some(uid), Some(gid)).step("make the writable folders")?;
        mount(Some(&*folder), target, none, MsFlags::MS_BIND, none).step("place the writable folders")?;
    }
    umount2(BOX, MntFlags::MNT_DETACH).step("place the writable folders")
}

/// Only what is about processes, unless sandboxes inside need the whole to mount their own.
fn proc(whole: bool) -> Result<(), Failure> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let options = if whole { None } else { Some("subset=pid") };
    mount(Some("proc"), "/proc", Some("proc"), flags, options).step("mount /proc")
}
