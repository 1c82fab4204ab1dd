//! Shows settings: the values in force with their origins, and the reference of all there are.

use super::setting::Setting;
use super::table::SETTINGS;
use super::{Settings, is_reloadable};
use std::fmt::Write;

/// How settings are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShowFormat {
    /// For people.
    Table,
    /// A JSON array.
    Json,
    /// A YAML list.
    Yaml,
}

/// What stands in place of a secret.
const HIDDEN: &str = "(hidden)";

/// Every setting with its value and origin.
#[must_use]
pub fn show(settings: &Settings, format: ShowFormat) -> String {
    show_as(settings, format, SETTINGS)
}

fn show_as(settings: &Settings, format: ShowFormat, table: &[Setting]) -> String {
    let secret = |name: &str| table.iter().any(|setting| setting.name == name && setting.secret);
    let rows = settings.origins.iter().map(|origin| {
        let value = if secret(origin.name) { HIDDEN } else { origin.value.as_str() };
        (origin.name, value, origin.place.to_string())
    });
    match format {
        ShowFormat::Table => {
            let mut page = comfy_table::Table::new();
            page.load_style(comfy_table::presets::NOTHING).set_header(["NAME", "VALUE", "ORIGIN"]);
            for (name, value, place) in rows {
                page.add_row([name, value, place.as_str()]);
            }
            let lines = page.lines().map(|line| line.trim().to_owned() + "\n");
            lines.collect()
        }
        ShowFormat::Json => {
            let list: Vec<serde_json::Value> = rows
                .map(|(name, value, place)| {
                    serde_json::json!({"name": name, "value": value, "origin": place})
                })
                .collect();
            format!("{:#}\n", serde_json::Value::Array(list))
        }
        ShowFormat::Yaml => {
            let mut page = String::new();
            for (name, value, place) in rows {
                // A JSON string is a YAML string, whatever is in it.
                let (value, place) = (serde_json::json!(value), serde_json::json!(place));
                let _ = writeln!(page, "- name: {name}\n  value: {value}\n  origin: {place}");
            }
            page
        }
    }
}

/// What stands above the table of all settings.
const ABOUT: &str = "\
# The settings of `offergate serve`

A flag outranks a variable, which outranks a line of the file (TOML, named by `--config` or
`OFFERGATE_CONFIG`), which outranks the default. What is unknown, doubled, empty, without its unit or out of
its range is refused, all at once: `offergate config check` says so without opening a port, and
`offergate config show` tells where each value comes from. Secrets have no flag, since everybody on a machine
can read command lines; their `_FILE` variable names a file that others may not read. This page is what
`offergate config reference` prints.

| in the file | flag | variable | effect | value, with its unit | default |
|---|---|---|---|---|---|
";

/// All settings, as a page in Markdown.
#[must_use]
pub fn reference() -> String {
    let mut page = ABOUT.to_owned();
    for setting in SETTINGS {
        let Setting { name, effect, form, secret, .. } = setting;
        let variable = setting.variable();
        let (flag, variable) = match secret {
            false => (format!("`--{}`", setting.flag()), format!("`{variable}`")),
            true => ("none".to_owned(), format!("`{variable}`, `{variable}_FILE`")),
        };
        let anew = if is_reloadable(name) { " SIGHUP reads it anew." } else { "" };
        let default = setting.default_in_words();
        let _ = writeln!(
            page,
            "| `{name}` | {flag} | {variable} | {effect}{anew} | {form} | {default} |"
        );
    }
    page
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::config::{Origin, Place};

    #[test]
    fn a_secret_is_never_shown_and_everything_else_is_in_each_format() {
        let mut settings = Settings::unread();
        let place = Place::Variable("OFFERGATE_X".to_owned());
        let origin =
            |name, value: &str| Origin { name, value: value.to_owned(), place: place.clone() };
        settings.origins = vec![origin("listen", "a \"quoted\" value"), origin("token", "hunter2")];
        let token = Setting { name: "token", secret: true, ..SETTINGS[0] };
        let table = [SETTINGS[0], token];
        for format in [ShowFormat::Table, ShowFormat::Json, ShowFormat::Yaml] {
            let page = show_as(&settings, format, &table);
            assert!(!page.contains("hunter2"), "{page}");
            assert!(page.contains("listen") && page.contains("OFFERGATE_X"), "{page}");
        }
        let json: serde_json::Value =
            serde_json::from_str(&show_as(&settings, ShowFormat::Json, &table)).unwrap();
        assert_eq!(json[0]["value"], "a \"quoted\" value");
        assert_eq!(json[1]["value"], HIDDEN);
        let yaml: serde_json::Value =
            serde_saphyr::from_str(&show_as(&settings, ShowFormat::Yaml, &table)).unwrap();
        assert_eq!(yaml, json);
    }

    #[test]
    fn the_reference_has_a_row_for_every_setting() {
        let page = reference();
        for setting in SETTINGS {
            assert!(page.contains(&format!("| `{}` |", setting.name)), "{}", setting.name);
        }
        assert_eq!(page.lines().count(), SETTINGS.len() + ABOUT.lines().count());
    }
}
