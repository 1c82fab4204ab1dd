//! The entry of a record: the exact text that is hashed, stored and read again.
//!
//! One line of JSON in UTF-8, without spaces, its keys in alphabetical order; what does not apply is
//! `null`:
//!
//! | key | value |
//! |---|---|
//! | `act` | what happened: `PROPOSE`, `APPROVE`, `REFUSE`, ... |
//! | `address` | where the call came from |
//! | `approver` | who approved or ratified |
//! | `at` | when it was asked for, RFC 3339 in UTC |
//! | `author` | who asked for the change; who edited, rejected, withdrew it, or was refused |
//! | `change` | what it does, or would do while it waits, spelt as in a rule file |
//! | `digest` | of what is proposed or approved: 64 hexadecimal digits |
//! | `direction` | `TIGHTENING` or `LOOSENING` |
//! | `format` | 2 |
//! | `kind` | `APPLY_RULES`, `CREATE_SUSPENSION`, ... |
//! | `proposal` | the number of the proposal or emergency that it is about |
//! | `reason`, `ticket` | why |
//! | `refused` | what was refused: `asked` in a line, `code`, and how many before it were `unwritten` |
//! | `request_id` | the caller's name for the attempt |
//! | `revision` | the number of the record |
//! | `starts_now` | whether what is proposed begins when it is approved |
//!
//! People and programs are written as `issuer`, `kind` (`PERSON` or `SERVICE`), `name`, `owner` (`issuer` and
//! `subject`) and `subject`. Format 1, which is read and no longer written, has names alone for them, and of the other
//! keys `approver`, `at`, `author`, `change`, `format`, `kind`, `reason`, `request_id`, `revision`, `ticket`:
//! a change was made by one person then.
//!
//! The stored text is what counts: nobody needs to write it again in order to verify it.
//!
//! Invariant: what [`encode`] returns, [`decode`] reads back as an equal value. Reading is strict: a
//! missing or unknown field, or another format, is an error and never skipped.

use super::{Act, ChangeKind, Digest, NewRecord, Party, RefusedRequest, RequestId, steps};
use crate::domain::{Direction, PrincipalId, PrincipalKind, Revision, RuleChange, Timestamp};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The format that is written, and the one that is read besides.
const FORMAT: u64 = 2;
const FORMER: u64 = 1;

/// Why an entry does not read.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// Not JSON, not these fields, or a change that no rule file could hold.
    #[error("entry is no record")]
    Malformed(#[source] Unreadable),

    /// Written by a later version.
    #[error("entry has format {found}; this version reads formats {FORMER} and {FORMAT}")]
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

/// Why content cannot become a record: written down, it would not read back as it was meant.
#[derive(Debug, thiserror::Error)]
#[error("the change does not read back as it was written")]
pub struct Unrecordable(#[source] Option<Box<dyn std::error::Error + Send + Sync>>);

// Of an `Option`, a missing key would read as `null`, if the field did not say otherwise.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form<'a> {
    act: Cow<'a, str>,
    #[serde(deserialize_with = "Option::deserialize")]
    address: Option<Cow<'a, str>>,
    #[serde(deserialize_with = "Option::deserialize")]
    approver: Option<Who<'a>>,
    at: Cow<'a, str>,
    author: Who<'a>,
    #[serde(serialize_with = "steps::write", deserialize_with = "steps::read")]
    change: Cow<'a, RuleChange>,
    #[serde(deserialize_with = "Option::deserialize")]
    digest: Option<Cow<'a, str>>,
    #[serde(deserialize_with = "Option::deserialize")]
    direction: Option<Cow<'a, str>>,
    format: u64,
    #[serde(deserialize_with = "Option::deserialize")]
    kind: Option<Cow<'a, str>>,
    #[serde(deserialize_with = "Option::deserialize")]
    proposal: Option<u64>,
    reason: Cow<'a, str>,
    #[serde(deserialize_with = "Option::deserialize")]
    refused: Option<Refused<'a>>,
    request_id: Cow<'a, str>,
    revision: u64,
    starts_now: bool,
    ticket: Cow<'a, str>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Who<'a> {
    issuer: Cow<'a, str>,
    kind: Cow<'a, str>,
    name: Cow<'a, str>,
    #[serde(deserialize_with = "Option::deserialize")]
    owner: Option<Id<'a>>,
    subject: Cow<'a, str>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Id<'a> {
    issuer: Cow<'a, str>,
    subject: Cow<'a, str>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Refused<'a> {
    asked: Cow<'a, str>,
    code: Cow<'a, str>,
    unwritten: u64,
}

/// Format 1.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FormerForm<'a> {
    #[serde(deserialize_with = "Option::deserialize")]
    approver: Option<Cow<'a, str>>,
    at: Cow<'a, str>,
    author: Cow<'a, str>,
    #[serde(deserialize_with = "steps::read")]
    change: Cow<'a, RuleChange>,
    #[serde(rename = "format")]
    _format: u64,
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
pub(super) fn encode(revision: Revision, content: &NewRecord) -> Result<String, Unrecordable> {
    let form = Form {
        act: content.act.name().into(),
        address: content.address.map(|address| address.to_string().into()),
        approver: content.approver.as_ref().map(who),
        at: content.at.to_string().into(),
        author: who(&content.author),
        change: Cow::Borrowed(&content.change),
        digest: content.digest.map(|digest| digest.to_string().into()),
        direction: content.direction.map(|direction| direction.name().into()),
        format: FORMAT,
        kind: content.kind.map(|kind| kind.name().into()),
        proposal: content.proposal.map(|proposal| proposal.0),
        reason: Cow::Borrowed(&content.reason),
        refused: content.refused.as_ref().map(|refused| Refused {
            asked: Cow::Borrowed(&refused.asked),
            code: Cow::Borrowed(&refused.code),
            unwritten: refused.unwritten,
        }),
        request_id: content.request_id.as_str().into(),
        revision: revision.0,
        starts_now: content.starts_now,
        ticket: Cow::Borrowed(&content.ticket),
    };
    let entry = serde_json::to_string(&form).map_err(|error| Unrecordable(Some(error.into())))?;
    let (read_revision, read) = decode(&entry).map_err(|error| Unrecordable(Some(error.into())))?;
    if read_revision != revision || read != *content {
        return Err(Unrecordable(None));
    }
    Ok(entry)
}

fn who(party: &Party) -> Who<'_> {
    let id = |id: &PrincipalId| Id {
        issuer: id.issuer.to_string().into(),
        subject: id.subject.to_string().into(),
    };
    Who {
        issuer: Cow::Borrowed(&party.id.issuer),
        kind: match party.kind {
            PrincipalKind::Person => "PERSON".into(),
            PrincipalKind::Service => "SERVICE".into(),
        },
        name: Cow::Borrowed(&party.name),
        owner: party.owner.as_ref().map(id),
        subject: Cow::Borrowed(&party.id.subject),
    }
}

/// Reads what [`encode`] wrote, or an earlier version did.
pub(super) fn decode(entry: &str) -> Result<(Revision, NewRecord), EntryError> {
    let form: Form<'_> = match serde_json::from_str(entry) {
        Ok(form) => form,
        Err(error) => {
            return match serde_json::from_str::<AnyForm>(entry) {
                Ok(AnyForm { format: FORMER }) => decode_former(entry),
                Ok(AnyForm { format }) if format != FORMAT => {
                    Err(EntryError::UnknownFormat { found: format })
                }
                _ => Err(EntryError::Malformed(Unreadable(error.column()))),
            };
        }
    };
    if form.format != FORMAT {
        return Err(EntryError::UnknownFormat { found: form.format });
    }
    let named = |field: &'static str, why| move || self::field(field, why);
    let kind = form.kind.as_deref().map(|name| {
        ChangeKind::from_name(name).ok_or_else(named("kind", "there is no such kind of change"))
    });
    let direction = form.direction.as_deref().map(|name| {
        Direction::from_name(name).ok_or_else(named("direction", "there is no such direction"))
    });
    let digest = form
        .digest
        .as_deref()
        .map(|digits| Digest::parse(digits).ok_or_else(named("digest", "it is not 64 hex digits")));
    let content = NewRecord {
        request_id: request_id(&form.request_id)?,
        act: Act::from_name(&form.act).ok_or_else(named("act", "there is no such act"))?,
        kind: kind.transpose()?,
        author: party("author", form.author)?,
        approver: form.approver.map(|approver| party("approver", approver)).transpose()?,
        address: form.address.as_deref().map(address).transpose()?,
        reason: form.reason.into_owned(),
        ticket: form.ticket.into_owned(),
        at: instant(&form.at)?,
        direction: direction.transpose()?,
        proposal: form.proposal.map(Revision),
        digest: digest.transpose()?,
        starts_now: form.starts_now,
        change: form.change.into_owned(),
        refused: form.refused.map(|refused| RefusedRequest {
            code: refused.code.into_owned(),
            asked: refused.asked.into_owned(),
            unwritten: refused.unwritten,
        }),
    };
    is_whole(&content)?;
    Ok((Revision(form.revision), content))
}

/// What happened must be told with all that it takes: what waits is folded from it.
fn is_whole(content: &NewRecord) -> Result<(), EntryError> {
    let needs = |field: &'static str, is_there: bool| match is_there {
        true => Ok(()),
        false => Err(self::field(field, "what happened cannot be told without it")),
    };
    let no_change = || match content.change.is_empty() {
        true => Ok(()),
        false => Err(field("change", "what happened holds none")),
    };
    needs("refused", content.refused.is_some() == (content.act == Act::Refuse))?;
    needs("kind", content.kind.is_some() || content.act == Act::Refuse)?;
    match content.act {
        Act::Make => Ok(()),
        Act::Propose => {
            needs("direction", content.direction.is_some())?;
            needs("digest", content.digest.is_some())?;
            needs("proposal", content.proposal.is_none())
        }
        Act::Edit | Act::Approve => {
            needs("direction", content.direction.is_some())?;
            needs("digest", content.digest.is_some())?;
            needs("proposal", content.proposal.is_some())?;
            needs("approver", content.approver.is_some() == (content.act == Act::Approve))
        }
        Act::Emergency => needs("direction", content.direction.is_some()),
        Act::Reject | Act::Withdraw | Act::Ratify => {
            needs("proposal", content.proposal.is_some())?;
            needs("approver", content.approver.is_some() == (content.act == Act::Ratify))?;
            no_change()
        }
        Act::Refuse => no_change(),
    }
}

fn decode_former(entry: &str) -> Result<(Revision, NewRecord), EntryError> {
    let form: FormerForm<'_> = serde_json::from_str(entry)
        .map_err(|error| EntryError::Malformed(Unreadable(error.column())))?;
    let kind = ChangeKind::from_name(&form.kind)
        .ok_or_else(|| field("kind", "there is no such kind of change"))?;
    let author = Party::unverified(&form.author);
    let change = form.change.into_owned();
    let content = NewRecord {
        approver: form.approver.as_deref().map(Party::unverified),
        reason: form.reason.into_owned(),
        ticket: form.ticket.into_owned(),
        ..NewRecord::made(request_id(&form.request_id)?, kind, author, instant(&form.at)?, change)
    };
    Ok((Revision(form.revision), content))
}

fn request_id(text: &str) -> Result<RequestId, EntryError> {
    RequestId::parse(text)
        .ok_or_else(|| field("request_id", "it is not 1 to 128 printable ASCII characters"))
}

fn party(field: &'static str, who: Who<'_>) -> Result<Party, EntryError> {
    let id = |issuer: &str, subject: &str| PrincipalId {
        issuer: issuer.into(),
        subject: subject.into(),
    };
    Ok(Party {
        id: id(&who.issuer, &who.subject),
        name: who.name.into(),
        kind: match &*who.kind {
            "PERSON" => PrincipalKind::Person,
            "SERVICE" => PrincipalKind::Service,
            _ => return Err(self::field(field, "its kind is neither PERSON nor SERVICE")),
        },
        owner: who.owner.map(|owner| id(&owner.issuer, &owner.subject)),
    })
}

/// One spelling an address, too.
fn address(text: &str) -> Result<std::net::IpAddr, EntryError> {
    let address: Option<std::net::IpAddr> = text.parse().ok();
    let address = address.filter(|address| address.to_string() == text);
    address.ok_or_else(|| field("address", "it is no address in its usual form"))
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
    use crate::audit::record::samples::content;
    use crate::rules::document::change_to_json;

    const ANN: &str =
        r#"{"issuer":"unverified","kind":"PERSON","name":"ann","owner":null,"subject":"ann"}"#;

    /// An entry as the first version wrote it.
    fn former(number: u64) -> String {
        let change = change_to_json(&content(number).change);
        format!(
            "{{\"approver\":null,\"at\":\"2017-12-02T00:00:{number:02}Z\",\"author\":\"ann\",\
             \"change\":{change},\"format\":1,\"kind\":\"APPLY_RULES\",\"reason\":\"because\",\
             \"request_id\":\"request-{number}\",\"revision\":{number},\"ticket\":\"CHG-1\"}}"
        )
    }

    /// Something that happened, with every field in use.
    fn approved() -> NewRecord {
        let robot = Party {
            id: PrincipalId { issuer: "https://id.example".into(), subject: "7".into() },
            name: "robot".into(),
            kind: PrincipalKind::Service,
            owner: Some(PrincipalId::unverified("zoe")),
        };
        NewRecord {
            act: Act::Approve,
            approver: Some(robot),
            address: Some("2001:db8::1".parse().unwrap()),
            direction: Some(Direction::Loosening),
            proposal: Some(Revision(3)),
            digest: Digest::parse(&"0123456789abcdef".repeat(4)),
            starts_now: true,
            ..content(7)
        }
    }

    #[test]
    fn an_entry_is_one_line_with_sorted_keys_and_no_spaces() {
        let empty = NewRecord { change: RuleChange::default(), ..content(7) };
        let change = change_to_json(&empty.change);
        assert_eq!(
            encode(Revision(7), &empty).unwrap(),
            format!(
                "{{\"act\":\"MAKE\",\"address\":null,\"approver\":null,\
                 \"at\":\"2017-12-02T00:00:07Z\",\"author\":{ANN},\"change\":{change},\
                 \"digest\":null,\"direction\":null,\"format\":2,\"kind\":\"APPLY_RULES\",\
                 \"proposal\":null,\"reason\":\"because\",\"refused\":null,\
                 \"request_id\":\"request-7\",\"revision\":7,\"starts_now\":false,\
                 \"ticket\":\"CHG-1\"}}"
            )
        );
    }

    #[test]
    fn an_entry_of_the_first_format_still_reads_as_a_change_that_was_made() {
        assert_eq!(decode(&former(7)).unwrap(), (Revision(7), content(7)));
        let mut chain = crate::audit::Chain::START;
        let hash = chain.hash_with(&former(1));
        let record = chain.follow(Revision(1), hash, &former(1)).unwrap();
        assert_eq!(&*record.entry, former(1));
        let mut again = crate::audit::Chain::START;
        again.pass(&record).unwrap();
        for (from, to) in [
            ("\"approver\":null,", ""),
            ("\"format\":1,", "\"format\":1,\"act\":\"MAKE\","),
            ("\"author\":\"ann\"", "\"author\":7"),
        ] {
            let altered = former(1).replacen(from, to, 1);
            assert_ne!(altered, former(1));
            assert!(decode(&altered).is_err(), "{altered}");
        }
    }

    #[test]
    fn what_happened_is_refused_when_something_is_missing_that_it_takes() {
        let whole = approved();
        assert!(encode(Revision(7), &whole).is_ok());
        let refused = RefusedRequest { code: "X".into(), asked: "y".into(), unwritten: 0 };
        for broken in [
            NewRecord { approver: None, ..whole.clone() },
            NewRecord { direction: None, ..whole.clone() },
            NewRecord { proposal: None, ..whole.clone() },
            NewRecord { digest: None, ..whole.clone() },
            NewRecord { kind: None, ..whole.clone() },
            NewRecord { refused: Some(refused.clone()), ..whole.clone() },
            NewRecord { act: Act::Propose, ..whole.clone() },
            NewRecord { act: Act::Ratify, ..whole.clone() },
            NewRecord { act: Act::Refuse, ..whole.clone() },
            NewRecord { act: Act::Reject, approver: None, ..whole.clone() },
            NewRecord { act: Act::Refuse, refused: Some(refused), ..content(1) },
        ] {
            assert!(encode(Revision(7), &broken).is_err(), "{broken:?}");
        }
    }

    #[test]
    fn an_entry_spells_its_change_as_rule_files_do() {
        let entry = encode(Revision(1), &content(1)).unwrap();
        let change = change_to_json(&content(1).change);
        assert!(entry.contains(&format!("\"change\":{change},")), "{entry}");
    }

    #[test]
    fn an_entry_reads_back_whatever_people_wrote_in_it() {
        let odd = NewRecord {
            author: Party::unverified("Zoë \"Q\" \\ \u{202e}\n"),
            approver: Some(Party::unverified("")),
            reason: "\0\u{7f}\u{2028}".into(),
            at: "-009999-01-02T01:59:59.000000001Z".parse().unwrap(),
            ..approved()
        };
        let entry = encode(Revision(u64::MAX), &odd).unwrap();
        assert_eq!(decode(&entry).unwrap(), (Revision(u64::MAX), odd));
        assert!(!entry.contains('\n'));
    }

    #[test]
    fn an_entry_with_anything_missing_unknown_or_malformed_is_refused() {
        let entry = encode(Revision(1), &content(1)).unwrap();
        for (from, to, expected) in [
            (
                "\"format\":2",
                "\"format\":3",
                "entry has format 3; this version reads formats 1 and 2",
            ),
            (
                "\"format\":2,",
                "\"format\":3,\"x\":0,",
                "entry has format 3; this version reads formats 1 and 2",
            ),
            ("\"format\":2", "\"format\":2.0", "entry is no record"),
            ("\"format\":2,", "", "entry is no record"),
            ("\"approver\":null,", "", "entry is no record"),
            ("\"name\":\"ann\"", "\"name\":\"ann\",\"x\":0", "entry is no record"),
            ("\"name\":\"ann\"", "\"name\":\"ann\",\"name\":\"eve\"", "entry is no record"),
            ("\"revision\":1", "\"revision\":\"1\"", "entry is no record"),
            ("\"revision\":1", "\"revision\":-1", "entry is no record"),
            ("\"revision\":1", "\"revision\":1e3", "entry is no record"),
            ("MAKE", "make", "field `act` of the entry does not read"),
            ("PERSON", "person", "field `author` of the entry does not read"),
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
        let entry = encode(Revision(1), &content(1)).unwrap();
        for (from, to) in [
            ("{\"put\":", "{\"c-secret\":"),
            ("\"name\":", "\"c-secret\":"),
            ("\"name\":\"ann\"", "\"name\":\"ann\",\"c-secret\":0"),
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
