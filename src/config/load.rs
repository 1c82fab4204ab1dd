//! Puts the layers together: flags over variables over the file over defaults.

use super::args::ServeArgs;
use super::file::{self, FileValues};
use super::read::{Surroundings, nearest};
use super::setting::{DefaultValue, Setting};
use super::table::SETTINGS;
use super::{
    ConfigErrors, Origin, Place, Problem, RedisServers, Settings, StoreLocation, store_url,
};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Variables with our prefix that are no setting of the server: where its own file is, what the
/// other commands read, and what builds and tests read.
const NO_SETTINGS: &[&str] = &[
    "OFFERGATE_CONFIG",
    "OFFERGATE_SERVER",
    "OFFERGATE_OUTPUT",
    "OFFERGATE_AUTHOR",
    "OFFERGATE_AS",
    "OFFERGATE_TOKEN_FILE",
    "OFFERGATE_CA_FILE",
    "OFFERGATE_CERTIFICATE_FILE",
    "OFFERGATE_KEY_FILE",
    "OFFERGATE_COMMIT",
    "OFFERGATE_CASES",
    "OFFERGATE_SEED",
    "OFFERGATE_TEST_REDIS_BIN",
    "OFFERGATE_ATTACK_SECONDS",
];

/// Kubernetes puts these into every container beside a service of our name.
const NOT_OURS: &[&str] = &["OFFERGATE_SERVICE_", "OFFERGATE_PORT"];

/// Reads all settings.
///
/// # Errors
/// With everything that is wrong, wherever it stands.
pub fn load(args: &ServeArgs) -> Result<Settings, ConfigErrors> {
    load_from(args, &Surroundings::of_process(args.demo), SETTINGS)
}

pub(super) fn load_from(
    args: &ServeArgs,
    surroundings: &Surroundings,
    table: &[Setting],
) -> Result<Settings, ConfigErrors> {
    let mut problems = Vec::new();
    refuse_unknown_variables(surroundings, table, &mut problems);
    let file_path = match &args.config {
        Some(path) => Some(path.clone()),
        None => variable(surroundings, "OFFERGATE_CONFIG", &mut problems).map(PathBuf::from),
    };
    let file_values =
        file_path.as_deref().map(|path| file::read(path, table, &mut problems)).unwrap_or_default();
    let layers = Layers { args, surroundings, file_path, file_values };
    let mut settings = Settings::unread();
    for setting in table {
        if let Some(mut origin) = layers.value(setting, &mut problems) {
            let unset =
                origin.place == Place::Default && matches!(setting.default, DefaultValue::Unset(_));
            if !unset && let Err(what) = (setting.read)(&mut settings, &origin.value) {
                let what = format!("{}: {what}", setting.name);
                problems.push(Problem { place: origin.place.clone(), what });
            }
            origin.value = store_url::without_password(&origin.value);
            settings.origins.push(origin);
        }
    }
    refuse_one_address_for_both(&settings, &mut problems);
    refuse_half_a_shared_store(&settings, &mut problems);
    settings.identity.refuse_half_of_it(&settings.origins, &mut problems);
    settings.events.refuse_half_of_it(&settings.origins, &mut problems);
    refuse_half_a_decision_log(&settings, &mut problems);
    refuse_a_burst_of_nothing(&settings, &mut problems);
    if problems.is_empty() { Ok(settings) } else { Err(ConfigErrors(problems)) }
}

/// Everywhere that a value can stand.
struct Layers<'a> {
    args: &'a ServeArgs,
    surroundings: &'a Surroundings,
    file_path: Option<PathBuf>,
    file_values: FileValues,
}

impl Layers<'_> {
    /// The setting's value from the highest layer that has one. A value that is there but cannot
    /// be taken is a problem, and hides those below it.
    fn value(&self, setting: &Setting, problems: &mut Vec<Problem>) -> Option<Origin> {
        let origin = |value, place| Some(Origin { name: setting.name, value, place });
        let flag = format!("--{}", setting.flag());
        match self.args.value(setting) {
            Some("") => {
                let what = "is empty; leave it out, or give it a value".to_owned();
                problems.push(Problem { place: Place::Flag(flag), what });
                return None;
            }
            Some(value) => return origin(value.to_owned(), Place::Flag(flag)),
            None => {}
        }
        let name = setting.variable();
        if self.surroundings.variables.contains_key(&name) {
            let value = variable(self.surroundings, &name, problems)?;
            if setting.secret && self.surroundings.variables.contains_key(&format!("{name}_FILE")) {
                let what = format!("is set beside {name}_FILE; set one of them");
                problems.push(Problem { place: Place::Variable(name), what });
                return None;
            }
            return origin(value, Place::Variable(name));
        }
        let file_name = format!("{name}_FILE");
        if setting.secret && self.surroundings.variables.contains_key(&file_name) {
            let path = PathBuf::from(variable(self.surroundings, &file_name, problems)?);
            return match read_secret(&path) {
                Ok(value) => origin(value, Place::File(path, 0)),
                Err(what) => {
                    problems.push(Problem { place: Place::File(path, 0), what });
                    None
                }
            };
        }
        if let (Some((line, value)), Some(path)) =
            (self.file_values.get(setting.name), &self.file_path)
        {
            return origin(value.clone(), Place::File(path.clone(), *line));
        }
        let found = match setting.default {
            DefaultValue::Fixed(value) => Ok(value.to_owned()),
            DefaultValue::Found(_, find) => find(self.surroundings),
            DefaultValue::Unset(words) => Ok(words.to_owned()),
        };
        match found {
            Ok(value) => origin(value, Place::Default),
            Err(what) => {
                problems.push(Problem { place: Place::Default, what });
                None
            }
        }
    }
}

/// A variable's value; one that is set but empty, or no UTF-8, is a problem and no value.
fn variable(
    surroundings: &Surroundings,
    name: &str,
    problems: &mut Vec<Problem>,
) -> Option<String> {
    let mut refuse = |what: &str| {
        let place = Place::Variable(name.to_owned());
        problems.push(Problem { place, what: what.to_owned() });
        None
    };
    match surroundings.variables.get(name)? {
        None => refuse("is no UTF-8"),
        Some(value) if value.trim().is_empty() => {
            refuse("is set but empty; unset it, or give it a value")
        }
        Some(value) => Some(value.clone()),
    }
}

fn refuse_unknown_variables(
    surroundings: &Surroundings,
    table: &[Setting],
    problems: &mut Vec<Problem>,
) {
    let mut known: Vec<String> = NO_SETTINGS.iter().map(|name| (*name).to_owned()).collect();
    for setting in table {
        known.push(setting.variable());
        if setting.secret {
            known.push(format!("{}_FILE", setting.variable()));
        }
    }
    for name in surroundings.variables.keys() {
        let ours = name.starts_with("OFFERGATE_")
            && !NOT_OURS.iter().any(|prefix| name.starts_with(prefix));
        if !ours || known.contains(name) {
            continue;
        }
        let what = match nearest(name, known.iter().map(String::as_str)) {
            Some(near) => format!("no setting has this name; did you mean {near}?"),
            None => "no setting has this name".to_owned(),
        };
        problems.push(Problem { place: Place::Variable(name.clone()), what });
    }
}

/// Two listeners on one address: the second would fail when the first already serves.
fn refuse_one_address_for_both(settings: &Settings, problems: &mut Vec<Problem>) {
    let (listen, management) = (settings.listen, settings.management_listen);
    if listen == management && listen.port() != 0 {
        let origin = settings.origins.iter().find(|origin| origin.name == "management_listen");
        let place = origin.map_or(Place::Default, |origin| origin.place.clone());
        let what = format!("management_listen: `{management}` is `listen` too; take another port");
        problems.push(Problem { place, what });
    }
}

/// What the settings of a shared store ask of one another.
fn refuse_half_a_shared_store(settings: &Settings, problems: &mut Vec<Problem>) {
    let mut refuse = |name: &str, what: &str| {
        let origin = settings.origins.iter().find(|origin| origin.name == name);
        let place = origin.map_or(Place::Default, |origin| origin.place.clone());
        problems.push(Problem { place, what: format!("{name}: {what}") });
    };
    if settings.store_certificate_file.is_some() != settings.store_key_file.is_some() {
        let (name, other) = match settings.store_key_file {
            None => ("store_certificate_file", "store_key_file"),
            Some(_) => ("store_key_file", "store_certificate_file"),
        };
        refuse(name, &format!("is set without `{other}`; set both or none"));
    }
    let StoreLocation::Redis(url) = &settings.store else { return };
    let counted = settings.store_nodes.is_some() || matches!(url.servers, RedisServers::Single(_));
    if !counted {
        refuse(
            "store_nodes",
            "must be set: how many nodes could be promoted, the primary included",
        );
    }
    if url.password.is_some() && settings.store_password.is_some() {
        refuse("store_password", "is set beside a password in the URL of `store`; set one of them");
    }
    let files = [
        ("store_ca_file", &settings.store_ca_file),
        ("store_certificate_file", &settings.store_certificate_file),
    ];
    for (name, file) in files {
        if file.is_some() && !url.tls {
            refuse(name, "is set, but the URL of `store` does not say `rediss`");
        }
    }
}

/// Keyed ids without keys, or keys for nothing.
fn refuse_half_a_decision_log(settings: &Settings, problems: &mut Vec<Problem>) {
    let log = &settings.decision_log;
    let (name, what) = match (log.keyed, &log.key_file) {
        (true, None) => (
            "decision_log_customer_ids",
            "is `keyed`, and `decision_log_key_file` is not set: set both or none",
        ),
        (false, Some(_)) => (
            "decision_log_key_file",
            "is set, and `decision_log_customer_ids` is not `keyed`: set both or none",
        ),
        (true, Some(_)) | (false, None) => return,
    };
    let origin = settings.origins.iter().find(|origin| origin.name == name);
    let place = origin.map_or(Place::Default, |origin| origin.place.clone());
    problems.push(Problem { place, what: format!("{name}: {what}") });
}

/// How many may come at once, where nothing says how many a second.
fn refuse_a_burst_of_nothing(settings: &Settings, problems: &mut Vec<Problem>) {
    if settings.load.quota_burst.is_some() && settings.load.quota_per_second.is_none() {
        let origin = settings.origins.iter().find(|origin| origin.name == "quota_burst");
        let place = origin.map_or(Place::Default, |origin| origin.place.clone());
        let what = "quota_burst: is set without `quota_per_second`; set both or none".to_owned();
        problems.push(Problem { place, what });
    }
}

/// A secret's file: readable by its owner and group alone, and not empty.
fn read_secret(path: &Path) -> Result<String, String> {
    let unreadable = |error: std::io::Error| format!("file cannot be read: {error}");
    let mode = std::fs::metadata(path).map_err(unreadable)?.permissions().mode();
    if mode & 0o007 != 0 {
        return Err(format!(
            "file has mode {:03o}, which lets every user in; make it 400",
            mode & 0o777
        ));
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() { Err("file is empty".to_owned()) } else { Ok(secret.to_owned()) }
}

#[cfg(test)]
#[expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]
mod tests;
