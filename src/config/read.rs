//! Reads single values. Each function says what is wrong and what is allowed, in one sentence.

use super::{StoreLocation, store_url};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What settings are worked out from when nobody sets them.
#[derive(Debug, Clone, Default)]
pub(super) struct Surroundings {
    /// The environment. A value that is no UTF-8 is `None`.
    pub(super) variables: BTreeMap<String, Option<String>>,
    /// How many threads can run at once here.
    pub(super) cores: usize,
    /// Whether this is a demonstration.
    pub(super) demo: bool,
}

impl Surroundings {
    /// This process's own.
    pub(super) fn of_process(demo: bool) -> Self {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok())));
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { variables: variables.collect(), cores, demo }
    }

    fn folder(&self, variable: &str) -> Option<&Path> {
        let text = self.variables.get(variable)?.as_deref()?;
        // systemd may list several state folders; the first is ours.
        let path = Path::new(text.split(':').next()?);
        path.is_absolute().then_some(path)
    }
}

/// The embedded store's file in the state folder of this user or service.
pub(super) fn default_store(surroundings: &Surroundings) -> Result<String, String> {
    in_state_folder(surroundings, "offergate.db", "store")
}

/// Where the journal of a replica is when nobody says.
///
/// # Errors
/// When no state folder is known, in words for an operator.
pub fn default_journal(demo: bool) -> Result<PathBuf, String> {
    in_state_folder(&Surroundings::of_process(demo), "journal.db", "journal").map(PathBuf::from)
}

/// Where the demonstration keeps its people's tokens.
///
/// # Errors
/// When no state folder is known, in words for an operator.
pub fn demo_people() -> Result<PathBuf, String> {
    in_state_folder(&Surroundings::of_process(true), "people.tokens", "HOME").map(PathBuf::from)
}

/// Where the decision log is when nobody says.
///
/// # Errors
/// When no state folder is known, in words for an operator.
pub fn default_decision_log(demo: bool) -> Result<PathBuf, String> {
    let surroundings = Surroundings::of_process(demo);
    in_state_folder(&surroundings, "decisions", "decision_log_dir").map(PathBuf::from)
}

fn in_state_folder(
    surroundings: &Surroundings,
    file: &str,
    setting: &str,
) -> Result<String, String> {
    let folder = if let Some(folder) = surroundings.folder("STATE_DIRECTORY") {
        folder.to_owned()
    } else if let Some(folder) = surroundings.folder("XDG_STATE_HOME") {
        folder.join("offergate")
    } else if let Some(home) = surroundings.folder("HOME") {
        home.join(".local/state/offergate")
    } else {
        return Err(format!(
            "no state folder is known, since none of STATE_DIRECTORY, XDG_STATE_HOME and HOME is an \
             absolute path; set `{setting}`"
        ));
    };
    let folder = if surroundings.demo { folder.join("demo") } else { folder };
    let path = folder.join(file);
    path.to_str().map(str::to_owned).ok_or_else(|| "the state folder is no UTF-8".to_owned())
}

pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        format!("`{text}` is no address; write an IP address and a port, such as `127.0.0.1:7443`")
    })
}

/// A path, `sqlite:` and a path, or the URL of a shared store. Other schemes are refused, so that a slip
/// of the pen is not taken for the name of a file.
pub(super) fn store(text: &str) -> Result<StoreLocation, String> {
    const ALLOWED: &str = "write a path, `sqlite:` and a path, or a URL that begins with `redis://`, \
                           `redis+sentinel://` or `redis+cluster://`, with `rediss` for TLS";
    let path = match text.split_once(':') {
        Some(("sqlite", path)) => path,
        Some((scheme, rest)) if store_url::is_scheme(scheme) => {
            return store_url::read(scheme, rest).map(StoreLocation::Redis);
        }
        Some((scheme, _)) if scheme.bytes().all(is_scheme) && !scheme.is_empty() => {
            return Err(format!("`{scheme}:` is no store; {ALLOWED}"));
        }
        _ => text,
    };
    if path.is_empty() || path.starts_with("//") || path.contains('\0') {
        return Err(format!("`{text}` names no file; {ALLOWED}"));
    }
    Ok(StoreLocation::Embedded(PathBuf::from(path)))
}

/// A namespace of a shared store. Braces would move its keys to other nodes of a cluster.
pub(super) fn namespace(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if (1..=64).contains(&text.len()) && text.bytes().all(fits) {
        return Ok(text.to_owned());
    }
    Err(format!("`{text}` is no namespace; write 1 to 64 letters, digits, `-`, `_`, `.`"))
}

/// A trust domain of SPIFFE.
pub(super) fn trust_domain(text: &str) -> Result<String, String> {
    let fits =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte);
    if (1..=255).contains(&text.len()) && text.bytes().all(fits) {
        return Ok(text.to_owned());
    }
    Err(format!("`{text}` is no trust domain; write one such as `bank.example`"))
}

/// Text without spaces, which would be a slip in what is compared to the letter.
pub(super) fn text(text: &str) -> Result<String, String> {
    match text.contains(|letter: char| letter.is_whitespace() || letter.is_control()) {
        true => Err(format!("`{}` has a space in it", text.escape_debug())),
        false => Ok(text.to_owned()),
    }
}

/// Texts, separated by commas.
pub(super) fn texts(given: &str) -> Result<Vec<String>, String> {
    let parts = given.split(',').map(str::trim);
    let read = parts.map(|part| match part {
        "" => Err(format!("`{}` has an empty value in it", given.escape_debug())),
        part => text(part),
    });
    read.collect()
}

fn is_scheme(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'+'
}

pub(super) fn count(text: &str, least: usize, most: usize) -> Result<usize, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(count) if digits && (least..=most).contains(&count) => Ok(count),
        _ => Err(format!("`{text}` is no count from {least} to {most}")),
    }
}

/// A share above 0 and up to 1, in millionths.
pub(super) fn share(text: &str) -> Result<u32, String> {
    let refused =
        || format!("`{text}` is no share; write a number above 0 and up to 1, such as `0.01`");
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() != 1 || 6 < part.len() || !digits(whole) || !digits(part) {
        return Err(refused());
    }
    let millionths: u32 = format!("{whole}{part:0<6}").parse().map_err(|_| refused())?;
    if (1..=1_000_000).contains(&millionths) { Ok(millionths) } else { Err(refused()) }
}

pub(super) fn yes_or_no(text: &str) -> Result<bool, String> {
    choice(text, &[("true", true), ("false", false)])
}

pub(super) fn choice<T: Copy>(text: &str, choices: &[(&str, T)]) -> Result<T, String> {
    let found = choices.iter().find(|(name, _)| *name == text);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<String> = choices.iter().map(|(name, _)| format!("`{name}`")).collect();
        format!("`{text}` is not one of {}", names.join(", "))
    })
}

/// A number and its unit: `250ms`, `5s`, `0.5s`, `2m`, `1h`.
///
/// # Errors
/// What is allowed, in words.
pub fn duration(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    let end_of_number = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.');
    let (number, unit) = text.split_at(end_of_number.unwrap_or(text.len()));
    let factor = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "" if number.parse::<f64>().is_ok() => {
            return Err(format!("units missing: write `{text}s` or `{text}ms`"));
        }
        _ => return Err(not_a_duration(text)),
    };
    let number: f64 = number.parse().map_err(|_| not_a_duration(text))?;
    let duration =
        Duration::try_from_secs_f64(number * factor).map_err(|_| not_a_duration(text))?;
    if duration < least || most < duration {
        return Err(format!("`{text}` is not from {least:?} to {most:?}"));
    }
    Ok(duration)
}

fn not_a_duration(text: &str) -> String {
    format!("`{text}` is no duration; write a number and `ms`, `s`, `m` or `h`, such as `250ms`")
}

/// The name that is closest to what was written, if one is close.
pub(super) fn nearest<'a>(
    written: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let near = names.into_iter().map(|name| (steps_between(written, name), name));
    let (steps, name) = near.min()?;
    (steps <= written.len().max(name.len()) / 2).then_some(name)
}

/// How many letters must be added, dropped or replaced to turn one word into the other.
fn steps_between(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (above, from) in one.chars().enumerate() {
        let mut last = above + 1;
        let mut next = vec![last];
        for (to, pair) in other.chars().zip(row.windows(2)) {
            let &[diagonal, up] = pair else { continue };
            last = (diagonal + usize::from(from != to)).min(up + 1).min(last + 1);
            next.push(last);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_above_nothing_and_no_more_than_all() {
        for (text, millionths) in [("0.01", 10_000), ("1", 1_000_000), ("0.000001", 1)] {
            assert_eq!(share(text), Ok(millionths), "{text}");
        }
        for text in ["0", "0.0", "1.000001", "2", "-0.1", ".5", "0.0000001", "1%", "", "1e-2"] {
            assert!(share(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_duration_is_a_number_with_a_unit_inside_its_range() {
        let read = |text| duration(text, Duration::from_millis(500), Duration::from_secs(30));
        for (text, millis) in [("5s", 5000), ("0.5s", 500), ("500ms", 500), ("0.25m", 15_000)] {
            assert_eq!(read(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for (text, said) in [
            ("5", "units missing: write `5s` or `5ms`"),
            ("0s", "`0s` is not from 500ms to 30s"),
            ("31s", "`31s` is not from 500ms to 30s"),
            ("-5s", "`-5s` is no duration"),
            ("5 s", "`5 s` is no duration"),
            ("5sec", "`5sec` is no duration"),
            ("1e3s", "`1e3s` is no duration"),
            ("1.2.3s", "`1.2.3s` is no duration"),
            ("s", "`s` is no duration"),
            (&format!("{}s", "9".repeat(400)), "9s` is no duration"),
        ] {
            let refused = read(text).unwrap_err();
            assert!(refused.contains(said), "{text}: {refused}");
        }
    }

    #[test]
    fn a_store_is_a_path_or_a_known_scheme_and_never_another_taken_for_a_path() {
        let embedded = |path: &str| Ok(StoreLocation::Embedded(PathBuf::from(path)));
        assert_eq!(store("sqlite:/var/lib/rules.db"), embedded("/var/lib/rules.db"));
        assert_eq!(store("rules.db"), embedded("rules.db"));
        assert_eq!(store("./odd:name.db"), embedded("./odd:name.db"));
        assert!(matches!(store("redis://127.0.0.1:6379"), Ok(StoreLocation::Redis(_))));
        for refused in ["redi://h", "redis+sentinels://h/m", "redis:h", "sqlite:", "sqlite://x"] {
            assert!(store(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn the_state_folder_is_the_services_own_then_the_users() {
        let surroundings = |variables: &[(&str, &str)], demo| Surroundings {
            variables: variables
                .iter()
                .map(|(name, value)| ((*name).to_owned(), Some((*value).to_owned())))
                .collect(),
            cores: 1,
            demo,
        };
        let all = [("STATE_DIRECTORY", "/s:/t"), ("XDG_STATE_HOME", "/x"), ("HOME", "/h")];
        for (variables, demo, path) in [
            (&all[..], false, "/s/offergate.db"),
            (&all[1..], false, "/x/offergate/offergate.db"),
            (&all[2..], false, "/h/.local/state/offergate/offergate.db"),
            (&all[2..], true, "/h/.local/state/offergate/demo/offergate.db"),
        ] {
            assert_eq!(default_store(&surroundings(variables, demo)).as_deref(), Ok(path));
        }
        assert!(default_store(&surroundings(&[("HOME", "relative")], false)).is_err());
    }

    #[test]
    fn a_slip_of_the_pen_finds_its_name_and_nonsense_finds_none() {
        let names = ["listen", "staleness_limit", "workers"];
        assert_eq!(nearest("lisen", names), Some("listen"));
        assert_eq!(nearest("stalness-limit", names), Some("staleness_limit"));
        assert_eq!(nearest("zzzzzzz", names), None);
        assert_eq!(steps_between("kitten", "sitting"), 3);
    }
}
