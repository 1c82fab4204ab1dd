//! Reads the URL of a shared store: where its servers are, and who we are there.
//!
//! ```text
//! redis://[USER[:PASSWORD]@]HOST[:PORT][/DATABASE]
//! redis+sentinel://[USER[:PASSWORD]@]HOST[:PORT][,HOST[:PORT]...]/MASTER[?database=NUMBER]
//! redis+cluster://[USER[:PASSWORD]@]HOST[:PORT][,HOST[:PORT]...]
//! ```
//!
//! With `rediss` in place of `redis` the servers are spoken to over TLS. USER, PASSWORD and MASTER may hold
//! any letter as `%` and two hexadecimal digits.
//!
//! Invariant: no message repeats what stands before the `@`.

use super::Secret;
use std::fmt;

/// What the URL of a shared store says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisUrl {
    /// The servers.
    pub servers: RedisServers,
    /// Whether to speak TLS.
    pub tls: bool,
    /// The ACL user.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<Secret>,
    /// Which database.
    pub database: u16,
}

/// How to find the server that takes writes. Each address is a host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedisServers {
    /// It is this one.
    Single((String, u16)),
    /// These sentinels know it, by this name.
    Sentinel(Vec<(String, u16)>, String),
    /// It is one of a cluster that these belong to.
    Cluster(Vec<(String, u16)>),
}

/// The schemes, and what follows each.
const FORMS: [(&str, bool, &str); 6] = [
    ("redis", false, "HOST[:PORT][/DATABASE]"),
    ("rediss", true, "HOST[:PORT][/DATABASE]"),
    ("redis+sentinel", false, "HOST[:PORT][,HOST[:PORT]...]/MASTER"),
    ("rediss+sentinel", true, "HOST[:PORT][,HOST[:PORT]...]/MASTER"),
    ("redis+cluster", false, "HOST[:PORT][,HOST[:PORT]...]"),
    ("rediss+cluster", true, "HOST[:PORT][,HOST[:PORT]...]"),
];

const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

/// The highest number of a database that is taken; servers have 16 unless told otherwise.
const LAST_DATABASE: u16 = 999;

/// What is wrong with a URL, and what its scheme allows.
struct Wrong<'a>(&'a str, &'a str);

impl fmt::Display for Wrong<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(scheme, why) = self;
        let form = FORMS.iter().find(|(known, ..)| known == scheme).map_or("", |(.., form)| form);
        write!(f, "{why}; write `{scheme}://[USER[:PASSWORD]@]{form}`")
    }
}

/// Whether a text before the first colon is one of our schemes.
pub(super) fn is_scheme(scheme: &str) -> bool {
    FORMS.iter().any(|(known, ..)| *known == scheme)
}

/// Reads the URL of a Redis; nothing where the text is none.
///
/// # Errors
/// What is wrong with it.
#[must_use]
pub fn redis_url(text: &str) -> Option<Result<RedisUrl, String>> {
    let (scheme, rest) = text.split_once(':')?;
    is_scheme(scheme).then(|| read(scheme, rest))
}

/// Reads what stands after the scheme and its colon.
pub(super) fn read(scheme: &str, rest: &str) -> Result<RedisUrl, String> {
    let tls = FORMS.iter().any(|(known, tls, _)| *known == scheme && *tls);
    parse(scheme.trim_start_matches("rediss").trim_start_matches("redis"), tls, rest)
        .map_err(|why| Wrong(scheme, why).to_string())
}

fn parse(kind: &str, tls: bool, rest: &str) -> Result<RedisUrl, &'static str> {
    let rest = rest.strip_prefix("//").ok_or("no `//` follows the scheme")?;
    // A password may hold anything but `@` and `/`, which are written as `%40` and `%2F`.
    let (login, rest) = match rest.rsplit_once('@') {
        Some((login, rest)) => (Some(login), rest),
        None => (None, rest),
    };
    let (rest, query) = match rest.split_once('?') {
        Some((rest, query)) => (rest, Some(query)),
        None => (rest, None),
    };
    let (hosts, path) = match rest.split_once('/') {
        Some((hosts, path)) => (hosts, path),
        None => (rest, ""),
    };
    let port = if kind == "+sentinel" { SENTINEL_PORT } else { PORT };
    let addresses = hosts.split(',').map(|host| address(host, port));
    let addresses: Vec<(String, u16)> = addresses.collect::<Result<_, _>>()?;
    let mut database = match query {
        None => 0,
        Some(query) if kind == "+sentinel" => {
            number(query.strip_prefix("database=").ok_or("only `database` may follow the `?`")?)?
        }
        Some(_) => return Err("nothing may follow a `?`"),
    };
    let servers = match kind {
        "+sentinel" if path.is_empty() => return Err("it names no master"),
        "+sentinel" => RedisServers::Sentinel(addresses, decoded(path)?),
        "+cluster" if path.is_empty() => RedisServers::Cluster(addresses),
        "+cluster" => return Err("a cluster has one database, so that no path follows"),
        _ => {
            if !path.is_empty() {
                database = number(path)?;
            }
            let [single] = <[_; 1]>::try_from(addresses)
                .map_err(|_| "it names several servers, and only one can be meant")?;
            RedisServers::Single(single)
        }
    };
    let (user, password) = match login {
        None => (None, None),
        Some(login) => self::login(login)?,
    };
    Ok(RedisUrl { servers, tls, user, password, database })
}

fn login(text: &str) -> Result<(Option<String>, Option<Secret>), &'static str> {
    let (user, password) = match text.split_once(':') {
        Some((user, password)) => (user, Some(password)),
        None => (text, None),
    };
    if text.contains('/') {
        return Err("a `/` stands before the `@`; write it as `%2F`");
    }
    let password = match password {
        Some("") => return Err("its password is empty"),
        Some(password) => Some(Secret::new(decoded(password)?)),
        None => None,
    };
    let user = decoded(user)?;
    Ok(((!user.is_empty()).then_some(user), password))
}

fn address(text: &str, default: u16) -> Result<(String, u16), &'static str> {
    const PORT: &str = "a port is no number from 1 to 65535";
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or("a `[` is never closed")?;
            match after.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if after.is_empty() => (host, None),
                None => return Err("something stands between a `]` and its port"),
            }
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:%".contains(&byte);
    if host.is_empty() || !host.bytes().all(fits) {
        return Err("a host is missing or is no name and no address");
    }
    let port = match port {
        None => default,
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            port.parse().ok().filter(|port| *port != 0).ok_or(PORT)?
        }
        Some(_) => return Err(PORT),
    };
    Ok((host.to_owned(), port))
}

fn number(text: &str) -> Result<u16, &'static str> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|number| digits && *number <= LAST_DATABASE);
    number.ok_or("its database is no number from 0 to 999")
}

/// Turns `%40` into `@`.
fn decoded(text: &str) -> Result<String, &'static str> {
    const BAD: &str = "a `%` is not followed by two hexadecimal digits";
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        match (byte, after) {
            (b'%', [high, low, after @ ..]) => {
                let pair = [*high, *low];
                let pair = std::str::from_utf8(&pair).map_err(|_| BAD)?;
                let digits = pair.bytes().all(|byte| byte.is_ascii_hexdigit());
                let byte = u8::from_str_radix(pair, 16).ok().filter(|_| digits).ok_or(BAD)?;
                bytes.push(byte);
                rest = after;
            }
            (b'%', _) => return Err(BAD),
            (byte, after) => {
                bytes.push(*byte);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).map_err(|_| "what its `%` stand for is no UTF-8")
}

/// The URL with its password hidden; any other text as it is.
#[must_use]
pub fn without_password(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    match rest.rsplit_once('@') {
        Some((login, rest)) => match login.split_once(':') {
            Some((user, _)) => format!("{scheme}://{user}:(hidden)@{rest}"),
            None => text.to_owned(),
        },
        None => text.to_owned(),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn host(name: &str, port: u16) -> (String, u16) {
        (name.to_owned(), port)
    }

    #[test]
    fn every_form_of_url_is_read_and_its_defaults_filled_in() {
        let plain =
            |servers| RedisUrl { servers, tls: false, user: None, password: None, database: 0 };
        let single = |name, port| plain(RedisServers::Single(host(name, port)));
        assert_eq!(read("redis", "//cache").unwrap(), single("cache", 6379));
        assert_eq!(
            read("redis", "//[::1]:7000/3").unwrap(),
            RedisUrl { database: 3, ..single("::1", 7000) }
        );
        assert_eq!(
            read("rediss", "//app:p%40s%2Fs:x@cache:1").unwrap(),
            RedisUrl {
                tls: true,
                user: Some("app".into()),
                password: Some(Secret::new("p@s/s:x".into())),
                ..single("cache", 1)
            }
        );
        assert_eq!(
            read("redis+sentinel", "//:pw@a,b:7/my%20master?database=2").unwrap(),
            RedisUrl {
                password: Some(Secret::new("pw".into())),
                database: 2,
                ..plain(RedisServers::Sentinel(
                    vec![host("a", 26379), host("b", 7)],
                    "my master".into()
                ))
            }
        );
        let cluster = RedisServers::Cluster(vec![host("a", 6379), host("b", 6379)]);
        assert_eq!(
            read("rediss+cluster", "//a,b").unwrap(),
            RedisUrl { tls: true, ..plain(cluster) }
        );
    }

    #[test]
    fn a_bad_url_says_what_is_wrong_and_allowed_and_never_the_password() {
        for (scheme, rest, said) in [
            ("redis", "host", "no `//` follows"),
            ("redis", "//", "a host is missing"),
            ("redis", "//u:hunter2@", "a host is missing"),
            ("redis", "//u:hunter2@a,b", "several servers"),
            ("redis", "//u:hunter2@a:0", "a port is no number"),
            ("redis", "//u:hunter2@a:+1", "a port is no number"),
            ("redis", "//u:hunter2@a:99999", "a port is no number"),
            ("redis", "//u:hunter2@a/x", "its database is no number"),
            ("redis", "//u:hunter2@a/1000", "its database is no number"),
            ("redis", "//u:hunter2@a?x=1", "nothing may follow"),
            ("redis", "//u:hunter2%4@a", "is not followed by two"),
            ("redis", "//u:hunter2%+4@a", "is not followed by two"),
            ("redis", "//u:hunter2%ff@a", "no UTF-8"),
            ("redis", "//u:hunter2/x@a", "write it as `%2F`"),
            ("redis", "//u:@a", "its password is empty"),
            ("redis", "//a b", "no name and no address"),
            ("redis", "//[::1", "never closed"),
            ("redis+sentinel", "//u:hunter2@a", "it names no master"),
            ("redis+sentinel", "//a/m?db=1", "only `database`"),
            ("redis+cluster", "//a/1", "one database"),
        ] {
            let refused = read(scheme, rest).unwrap_err();
            assert!(refused.contains(said), "{rest}: {refused}");
            assert!(refused.contains(&format!("; write `{scheme}://")), "{rest}: {refused}");
            assert!(!refused.contains("hunter2"), "{rest}: {refused}");
        }
    }

    #[test]
    fn a_url_is_shown_without_its_password() {
        for (written, shown) in [
            ("redis://u:hunter2@a:1/2", "redis://u:(hidden)@a:1/2"),
            ("redis://:hunter@2@a", "redis://:(hidden)@a"),
            ("redis://u@a", "redis://u@a"),
            ("redis://a", "redis://a"),
            ("/var/lib/a@b:c", "/var/lib/a@b:c"),
        ] {
            assert_eq!(without_password(written), shown);
        }
    }
}
