//! The entry of a record: the exact text that is hashed, stored and read again.
//!
//! One line of JSON in UTF-8, without spaces, its keys in alphabetical order:
//!
//! | key | value |
//! |---|---|
//! | `approver` | who approved, or `null` |
//! | `at` | when it was asked for, RFC 3339 in UTC |
//! | `author` | who asked |
//! | `change` | what it does, spelt as in a rule file |
//! | `format` | 1 |
//! | `kind` | `APPLY_RULES`, `CREATE_SUSPENSION`, ... |
//! | `reason`, `ticket` | why |
//! | `request_id` | the caller's name for the attempt |
//! | `revision` | the number of the record |
//!
//! The stored text is what counts: nobody needs to write it again in order to verify it.
//!
//! Invariant: what [`encode`] returns, [`decode`] reads back as an equal value. Reading is strict: a
//! missing or unknown field, or another format, is an error and never skipped.

use super::{ChangeKind, Proposal, RequestId, steps};
use crate::domain::{Revision, RuleChange, Timestamp};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The format that is written. A reader of a later one must still read this one.
const FORMAT: u64 = 1;

/// Why an entry does not read.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// Not JSON, not these fields, or a change that no rule file could hold.
    #[error("entry is no record")]
    Malformed(#[source] Unreadable),

    /// Written by a later version.
    #[error("entry has format {found}; this version reads format {FORMAT}")]
    UnknownFormat {
        /// The format in the entry.
        found: u64,
    },

    /// A field holds what it cannot hold.
    #[error("field `{field}` of the entry does not read")]
    Field {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Where an entry stops making sense. Not what stands there: errors end in logs, and entries can name
/// customers.
#[derive(Debug, thiserror::Error)]
#[error("what ends at byte {0} cannot be read")]
pub struct Unreadable(usize);

/// Why a proposal cannot become a record: written down, it would not read back as it was meant.
#[derive(Debug, thiserror::Error)]
#[error("the change does not read back as it was written")]
pub struct Unrecordable(#[source] Option<Box<dyn std::error::Error + Send + Sync>>);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form<'a> {
    #[serde(deserialize_with = "Option::deserialize")] // Else a missing key would read as `null`.
    approver: Option<Cow<'a, str>>,
    at: Cow<'a, str>,
    author: Cow<'a, str>,
    #[serde(serialize_with = "steps::write", deserialize_with = "steps::read")]
    change: Cow<'a, RuleChange>,
    format: u64,
    kind: Cow<'a, str>,
    reason: Cow<'a, str>,
    request_id: Cow<'a, str>,
    revision: u64,
    ticket: Cow<'a, str>,
}

/// What every format has.
#[derive(Deserialize)]
struct AnyForm {
    format: u64,
}

/// Writes the entry of a record, and makes sure that it reads back: a store must never hold an
/// entry that it would refuse at its next start.
pub(super) fn encode(revision: Revision, proposal: &Proposal) -> Result<String, Unrecordable> {
    let form = Form {
        approver: proposal.approver.as_deref().map(Cow::Borrowed),
        at: proposal.at.to_string().into(),
        author: Cow::Borrowed(&proposal.author),
        change: Cow::Borrowed(&proposal.change),
        format: FORMAT,
        kind: proposal.kind.name().into(),
        reason: Cow::Borrowed(&proposal.reason),
        request_id: proposal.request_id.as_str().into(),
        revision: revision.0,
        ticket: Cow::Borrowed(&proposal.ticket),
    };
    let entry = serde_json::to_string(&form).map_err(|error| Unrecordable(Some(error.into())))?;
    let (read_revision, read) = decode(&entry).map_err(|error| Unrecordable(Some(error.into())))?;
    if read_revision != revision || read != *proposal {
        return Err(Unrecordable(None));
    }
    Ok(entry)
}

/// Reads what [`encode`] wrote.
pub(super) fn decode(entry: &str) -> Result<(Revision, Proposal), EntryError> {
    let form: Form<'_> =
        serde_json::from_str(entry).map_err(|error| {
            match serde_json::from_str::<AnyForm>(entry) {
                Ok(AnyForm { format }) if format != FORMAT => {
                    EntryError::UnknownFormat { found: format }
                }
                _ => EntryError::Malformed(Unreadable(error.column())),
            }
        })?;
    if form.format != FORMAT {
        return Err(EntryError::UnknownFormat { found: form.format });
    }
    let proposal = Proposal {
        request_id: RequestId::parse(&form.request_id)
            .ok_or_else(|| field("request_id", "it is not 1 to 128 printable ASCII characters"))?,
        kind: ChangeKind::from_name(&form.kind)
            .ok_or_else(|| field("kind", "there is no such kind of change"))?,
        author: form.author.into_owned(),
        approver: form.approver.map(Cow::into_owned),
        reason: form.reason.into_owned(),
        ticket: form.ticket.into_owned(),
        at: instant(&form.at)?,
        change: form.change.into_owned(),
    };
    Ok((Revision(form.revision), proposal))
}

/// One spelling an instant, so that equal entries are equal texts.
fn instant(text: &str) -> Result<Timestamp, EntryError> {
    let at: Timestamp = text.parse().map_err(|_| field("at", "it is no instant"))?;
    if at.to_string() == text {
        Ok(at)
    } else {
        Err(field("at", "it is not in UTC, shortest form"))
    }
}

fn field(field: &'static str, why: &'static str) -> EntryError {
    EntryError::Field { field, source: why.into() }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::audit::record::samples::proposal;
    use crate::rules::document::change_to_json;

    #[test]
    fn an_entry_is_one_line_with_sorted_keys_and_no_spaces() {
        let empty = Proposal { change: RuleChange::default(), ..proposal(7) };
        let change = change_to_json(&empty.change);
        assert_eq!(
            encode(Revision(7), &empty).unwrap(),
            format!(
                "{{\"approver\":null,\"at\":\"2017-12-02T00:00:07Z\",\"author\":\"ann\",\
                 \"change\":{change},\"format\":1,\"kind\":\"APPLY_RULES\",\"reason\":\"because\",\
                 \"request_id\":\"request-7\",\"revision\":7,\"ticket\":\"CHG-1\"}}"
            )
        );
    }

    #[test]
    fn an_entry_spells_its_change_as_rule_files_do() {
        let entry = encode(Revision(1), &proposal(1)).unwrap();
        let change = change_to_json(&proposal(1).change);
        assert!(entry.contains(&format!("\"change\":{change},")), "{entry}");
    }

    #[test]
    fn an_entry_reads_back_whatever_people_wrote_in_it() {
        let odd = Proposal {
            author: "Zoë \"Q\" \\ \u{202e}\n".into(),
            approver: Some(String::new()),
            reason: "\0\u{7f}\u{2028}".into(),
            at: "-009999-01-02T01:59:59.000000001Z".parse().unwrap(),
            ..proposal(1)
        };
        let entry = encode(Revision(u64::MAX), &odd).unwrap();
        assert_eq!(decode(&entry).unwrap(), (Revision(u64::MAX), odd));
        assert!(!entry.contains('\n'));
    }

    #[test]
    fn an_entry_with_anything_missing_unknown_or_malformed_is_refused() {
        let entry = encode(Revision(1), &proposal(1)).unwrap();
        for (from, to, expected) in [
            ("\"format\":1", "\"format\":2", "entry has format 2; this version reads format 1"),
            (
                "\"format\":1,",
                "\"format\":2,\"x\":0,",
                "entry has format 2; this version reads format 1",
            ),
            ("\"format\":1", "\"format\":1.0", "entry is no record"),
            ("\"format\":1,", "", "entry is no record"),
            ("\"approver\":null,", "", "entry is no record"),
            ("\"author\":\"ann\"", "\"author\":\"ann\",\"x\":0", "entry is no record"),
            ("\"author\":\"ann\"", "\"author\":\"ann\",\"author\":\"eve\"", "entry is no record"),
            ("\"revision\":1", "\"revision\":\"1\"", "entry is no record"),
            ("\"revision\":1", "\"revision\":-1", "entry is no record"),
            ("\"revision\":1", "\"revision\":1e3", "entry is no record"),
            ("APPLY_RULES", "apply_rules", "field `kind` of the entry does not read"),
            ("request-1", "", "field `request_id` of the entry does not read"),
            ("00:00:01Z", "00:00:01+00:00", "field `at` of the entry does not read"),
            ("00:00:01Z", "00:00:61Z", "field `at` of the entry does not read"),
            ("\"change\":[", "\"change\":[7,", "entry is no record"),
            ("{\"put\":", "{\"x\":0,\"put\":", "entry is no record"),
        ] {
            let altered = entry.replacen(from, to, 1);
            assert_ne!(altered, entry, "{from}");
            assert_eq!(decode(&altered).unwrap_err().to_string(), expected, "{from} -> {to}");
        }
        assert!(matches!(decode(""), Err(EntryError::Malformed(_))));
        assert!(matches!(decode(&entry[..entry.len() - 1]), Err(EntryError::Malformed(_))));
    }
    #[test]
    fn what_is_wrong_with_an_entry_is_told_without_what_stands_in_it() {
        let entry = encode(Revision(1), &proposal(1)).unwrap();
        for (from, to) in [
            ("{\"put\":", "{\"c-secret\":"),
            ("\"name\":", "\"c-secret\":"),
            ("\"author\":\"ann\"", "\"author\":\"ann\",\"c-secret\":0"),
            ("APPLY_RULES", "c-secret"),
            ("2017", "c-secret"),
            ("request-1", "c secret"),
        ] {
            let error = decode(&entry.replacen(from, to, 1)).unwrap_err();
            let mut chain = error.to_string();
            let mut cause = std::error::Error::source(&error);
            while let Some(next) = cause {
                chain = format!("{chain}: {next}");
                cause = next.source();
            }
            assert!(!chain.contains("secret"), "{chain}");
        }
    }
}
