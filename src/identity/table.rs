//! The table of principals: which service stands behind which certificate, who answers for it, and what
//! people may do beyond what their token says.
//!
//! Not here: who somebody is. That is proven by a certificate or a token; the table only says what the
//! proven one is called and may do.

use crate::domain::{Principal, PrincipalId, PrincipalKind, Role, Roles};
use rustc_hash::FxHashMap;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many checks a second, and how many of them at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// How many a second.
    pub per_second: u32,
    /// How many at once.
    pub burst: u32,
}

/// The table, ready to be asked.
#[derive(Debug, Default)]
pub struct Table {
    services: FxHashMap<Box<str>, Arc<Principal>>,
    people: FxHashMap<PrincipalId, Roles>,
    /// Of the services that have one of their own.
    quotas: FxHashMap<Box<str>, Quota>,
}

impl Table {
    /// Reads the YAML form. Services belong to `trust_domain`.
    ///
    /// # Errors
    /// With line, column and what is allowed there.
    pub fn read(text: &str, trust_domain: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let document: Document = serde_saphyr::from_str(text).map_err(|error| in_words(&error))?;
        let issuer: Arc<str> = format!("spiffe://{trust_domain}").into();
        let mut quotas = FxHashMap::default();
        let services = document.services.into_iter().map(|(path, row)| {
            if let Some(QuotaRow { per_second, burst }) = row.quota {
                let burst = burst.map_or(per_second.0, |burst| burst.0);
                let quota = Quota { per_second: per_second.0, burst };
                quotas.insert(path.0.as_str().into(), quota);
            }
            let principal = Principal {
                id: PrincipalId { issuer: Arc::clone(&issuer), subject: path.0.as_str().into() },
                name: row.name.0.into(),
                kind: PrincipalKind::Service,
                owner: row.owner.map(PersonId::into_id),
                roles: row.roles.into_iter().map(|role| role.0).collect(),
                lacks: None,
            };
            (path.0.into_boxed_str(), Arc::new(principal))
        });
        let services = services.collect();
        let mut people = FxHashMap::default();
        for PersonRow { issuer, subject, roles } in document.people {
            let id = PersonId { issuer, subject }.into_id();
            let known = people.entry(id).or_insert(Roles::NONE);
            *known = roles.into_iter().map(|role| role.0).fold(*known, Roles::and);
        }
        Ok(Self { services, people, quotas })
    }

    /// The service with this path in its certificate.
    #[must_use]
    pub fn service(&self, path: &str) -> Option<&Arc<Principal>> {
        self.services.get(path)
    }

    /// The quota that it gives the service with this path, if any.
    #[must_use]
    pub fn quota(&self, path: &str) -> Option<Quota> {
        self.quotas.get(path).copied()
    }

    /// Whether it gives anybody a quota.
    #[must_use]
    pub fn has_quotas(&self) -> bool {
        !self.quotas.is_empty()
    }

    /// What a person may do beyond what the token says.
    #[must_use]
    pub fn extra(&self, person: &PrincipalId) -> Roles {
        self.people.get(person).copied().unwrap_or(Roles::NONE)
    }
}

/// `LINE:COLUMN: what is wrong`, in one line.
fn in_words(error: &serde_saphyr::Error) -> String {
    let what = error.without_snippet().to_string();
    let what = what.lines().next().unwrap_or_default();
    match error.location() {
        Some(place) => format!("{}:{}: {what}", place.line(), place.column()),
        None => what.to_owned(),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    services: BTreeMap<ServicePath, ServiceRow>,
    #[serde(default)]
    people: Vec<PersonRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ServiceRow {
    name: Text,
    roles: Vec<RoleName>,
    owner: Option<PersonId>,
    quota: Option<QuotaRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QuotaRow {
    per_second: Rate,
    burst: Option<Rate>,
}

#[derive(Deserialize)]
#[serde(try_from = "u64")]
struct Rate(u32);

impl TryFrom<u64> for Rate {
    type Error = &'static str;

    fn try_from(given: u64) -> Result<Self, &'static str> {
        match u32::try_from(given) {
            Ok(rate) if (1..=10_000_000).contains(&rate) => Ok(Self(rate)),
            _ => Err("write a count from 1 to 10000000"),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PersonRow {
    issuer: Text,
    subject: Text,
    roles: Vec<RoleName>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PersonId {
    issuer: Text,
    subject: Text,
}

impl PersonId {
    fn into_id(self) -> PrincipalId {
        PrincipalId { issuer: self.issuer.0.into(), subject: self.subject.0.into() }
    }
}

/// A text that says something.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Text(String);

impl TryFrom<String> for Text {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let fits = !text.trim().is_empty() && text.len() <= 256;
        let fits = fits && !text.chars().any(char::is_control);
        if fits { Ok(Self(text)) } else { Err("write 1 to 256 characters, none of control".into()) }
    }
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct RoleName(Role);

impl TryFrom<String> for RoleName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Role::from_name(&text).map(Self).ok_or_else(|| {
            let names = Role::ALL.map(Role::name).join(", ");
            format!("`{text}` is no role; there are {names}")
        })
    }
}

/// The path of a SPIFFE id.
#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(try_from = "String")]
struct ServicePath(String);

impl TryFrom<String> for ServicePath {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match super::certificate::is_path(&text) {
            true => Ok(Self(text)),
            false => Err(format!(
                "`{text}` is no path of a SPIFFE id; write one such as `/online-banking/backend`"
            )),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    const TABLE: &str = r#"
services:
  /bank/web: {name: web, roles: [caller]}
  /bank/robot:
    name: robot
    roles: [maker, reader]
    owner: {issuer: "https://id.bank.example", subject: u-1}
    quota: {per_second: 50}
  /bank/app: {name: app, roles: [caller], quota: {per_second: 50, burst: 7}}
people:
  - {issuer: "https://id.bank.example", subject: u-2, roles: [checker]}
"#;

    #[test]
    fn a_table_says_who_stands_behind_a_path_and_who_answers_for_it() {
        let table = Table::read(TABLE, "bank.example").unwrap();
        let robot = table.service("/bank/robot").unwrap();
        let person = |subject: &str| PrincipalId {
            issuer: "https://id.bank.example".into(),
            subject: subject.into(),
        };
        assert_eq!(&*robot.id.issuer, "spiffe://bank.example");
        assert_eq!((&*robot.id.subject, &*robot.name), ("/bank/robot", "robot"));
        assert_eq!(robot.owner, Some(person("u-1")));
        assert!(robot.roles.has(Role::Maker) && !robot.roles.has(Role::Checker));
        assert!(table.service("/bank").is_none());
        let quotas = ["/bank/web", "/bank/robot", "/bank/app"].map(|path| table.quota(path));
        let of = |burst| Some(Quota { per_second: 50, burst });
        assert_eq!(quotas, [None, of(50), of(7)]);
        assert!(table.extra(&person("u-2")).has(Role::Checker));
        assert_eq!(table.extra(&person("u-1")), Roles::NONE);
    }

    #[test]
    fn what_is_wrong_with_a_table_is_told_with_its_line_and_column() {
        for (text, told) in [
            ("services:\n  /a: {name: a, roles: [admin]}\n", ["2:", "`admin` is no role"]),
            ("services:\n  /a/: {name: a, roles: []}\n", ["2:3", "`/a/` is no path"]),
            ("services:\n  /a: {name: a}\n", ["2:", "roles"]),
            ("services:\n  /a: {name: '', roles: []}\n", ["2:", "1 to 256"]),
            ("people:\n  - {issuer: i, subject: s, roles: [], admin: true}\n", ["2:", "admin"]),
            (
                "services:\n  /a: {name: a, roles: []}\n  /a: {name: b, roles: [maker]}\n",
                ["3:3", "duplicate"],
            ),
            (
                "services:\n  /a: {name: a, roles: [], quota: {per_second: 0}}\n",
                ["2:", "a count from 1"],
            ),
            ("services:\n  /a: {name: a, roles: [], quota: {burst: 5}}\n", ["2:", "per_second"]),
            ("service: {}\n", ["1:1", "service"]),
        ] {
            let error = Table::read(text, "d").unwrap_err();
            assert!(told.iter().all(|part| error.contains(part)), "{text}: {error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }
}
