//! Paths that oauth2-proxy leaves open: regular expressions there, paths here. Only what certainly means no more is taken.

use super::words::plain_path;

/// `[METHOD=]REGEX` as a public path; otherwise why it is none.
pub(super) fn public_path(route: &str) -> Result<String, &'static str> {
    if route.contains("!=") {
        return Err("it opens everything but a path; name the open paths in `rules`");
    }
    if route.split_once('=').is_some_and(|(method, _)| method.chars().all(|c| c.is_ascii_uppercase())) {
        return Err("it opens a path for one method; a rule here is for all of them, so decide whether that may be");
    }
    let Some(rest) = route.strip_prefix('^') else {
        return Err("it is not anchored with `^`, so it may match anywhere in a path; name the open paths in `rules`");
    };
    if rest.ends_with('$') && !rest.ends_with(".*$") {
        return Err(
            "it opens one path and nothing below it; a rule here opens what is below, too: write it if that may be",
        );
    }
    let rest = rest.strip_suffix('$').unwrap_or(rest);
    let rest = rest.strip_suffix(".*").unwrap_or(rest).replace("\\.", ".").replace("\\-", "-").replace("\\/", "/");
    match plain_path(&rest) {
        Some(path) if path != "/" => Ok(path),
        Some(_) => Err("it opens everything; if that is meant, write `access = \"public\"` for the app"),
        None => Err("it is a pattern; a rule here is a path and all that is below it"),
    }
}
