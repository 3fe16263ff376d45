//! The few Dockerfiles that need no image: `FROM scratch` with files, variables and a working folder.

/// What is copied from the folder `environment` to below the working folder.
#[derive(Debug, PartialEq, Eq)]
pub struct Copied {
    pub from: String,
    /// Empty for the folder itself; with a slash at its end, a folder.
    pub to: String,
}

/// What a Dockerfile asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Recipe {
    pub copied: Vec<Copied>,
    pub env: Vec<(String, String)>,
}

/// Reads one; `places` are the names of the working folder.
///
/// # Errors
/// What of it cannot be met, as the end of a sentence that begins with "its Dockerfile".
pub fn read(text: &str, places: &[&str]) -> Result<Recipe, String> {
    let joined = text.replace("\\\r\n", " ").replace("\\\n", " ");
    let (mut recipe, mut based) = (Recipe::default(), false);
    for line in joined
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        match word.to_ascii_uppercase().as_str() {
            "FROM" if rest == "scratch" && !based => based = true,
            "FROM" => {
                let what =
                    "and there are no images here: only FROM scratch, whose programs are then those of this machine";
                return Err(format!("is FROM {rest}, {what}"));
            }
            "WORKDIR" if places.contains(&rest.trim_end_matches('/')) => {}
            "WORKDIR" => {
                return Err(format!(
                    "works in {rest}, and the working folder is {}",
                    places.join(" or ")
                ));
            }
            "ENV" => match rest.split_once('=').or_else(|| rest.split_once(' ')) {
                Some((name, value)) if !name.contains(' ') && !value.contains('=') => {
                    recipe
                        .env
                        .push((name.to_owned(), value.trim().trim_matches('"').to_owned()));
                }
                _ => return Err(format!("sets variables in a way that is not read: ENV {rest}")),
            },
            "COPY" => {
                let words: Vec<&str> = rest.split_whitespace().collect();
                let [from, to] = words.as_slice() else {
                    return Err(format!("copies in a way that is not read: COPY {rest}"));
                };
                let plain = !from.contains(['*', '?', '$'])
                    && !from.split('/').any(|part| part == "..")
                    && !from.starts_with('-');
                let inside = below(to, places).filter(|_| plain);
                let Some(to) = inside else {
                    return Err(format!("copies in a way that is not read: COPY {rest}"));
                };
                recipe.copied.push(Copied {
                    from: (*from).to_owned(),
                    to,
                });
            }
            "LABEL" | "MAINTAINER" => {}
            other => return Err(format!("has the instruction {other}, which needs an image")),
        }
    }
    match based {
        true => Ok(recipe),
        false => Err("has no FROM".to_owned()),
    }
}

/// The path below the working folder.
fn below(to: &str, places: &[&str]) -> Option<String> {
    if to.split('/').any(|part| part == "..") {
        return None;
    }
    if !to.starts_with('/') {
        return Some(to.trim_start_matches("./").trim_start_matches('.').to_owned());
    }
    places.iter().find_map(|place| match to.strip_prefix(place)? {
        "" => Some(String::new()),
        rest => rest.strip_prefix('/').map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_an_image_is_refused() {
        let places = ["/app", "/work"];
        let text =
            "# a comment\nFROM scratch\nWORKDIR /app\nENV MODE=fast\nCOPY data/ /app/data/\nCOPY a.txt \\\n  .\n";
        let recipe = read(text, &places).unwrap();
        assert_eq!(recipe.env, [("MODE".to_owned(), "fast".to_owned())]);
        assert_eq!(recipe.copied[0].to, "data/");
        assert_eq!(recipe.copied[1].to, "");
        for (text, why) in [
            ("FROM ubuntu:24.04\n", "FROM ubuntu:24.04"),
            ("FROM scratch\nRUN apt-get install x\n", "RUN"),
            ("FROM scratch\nWORKDIR /srv\n", "/srv"),
            ("FROM scratch\nCOPY ../x .\n", "COPY"),
            ("FROM scratch\nCOPY x /etc/passwd\n", "COPY"),
            ("", "no FROM"),
        ] {
            assert!(read(text, &places).unwrap_err().contains(why), "{text}");
        }
    }
}
