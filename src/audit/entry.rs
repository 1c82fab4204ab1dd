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
//! | `format` | 2; 3 with a `mailing` or a `ledger` |
//! | `kind` | `APPLY_RULES`, `CREATE_SUSPENSION`, ... |
//! | `ledger` | through which a mailing was begun: 32 hexadecimal digits; else there is no such key |
//! | `mailing` | the mailing that is proposed or was approved, as in `mailing.rs`; else there is no such key |
//! | `proposal` | the number of the proposal or emergency that it is about |
//! | `reason`, `ticket` | why |
//! | `refused` | what was refused: `asked` in a line, `code`, and how many before it were `unwritten` |
//! | `request_id` | the caller's name for the attempt |
//! | `revision` | the number of the record |
//! | `starts_now` | whether what is proposed begins when it is approved |
//!
//! Format 3 is format 2 with a mailing, or the ledger of one, and written for these alone: what has none stays
//! readable for earlier versions. People and programs are written as `issuer`, `kind` (`PERSON` or `SERVICE`), `name`, `owner` (`issuer` and
//! `subject`) and `subject`. Format 1, which is read and no longer written, has names alone for them, and of the other
//! keys `approver`, `at`, `author`, `change`, `format`, `kind`, `reason`, `request_id`, `revision`, `ticket`:
//! a change was made by one person then.
//!
//! The stored text is what counts: nobody needs to write it again in order to verify it.
//!
//! Invariant: what [`encode`] returns, [`decode`] reads back as an equal value. Reading is strict: a
//! missing or unknown field, or another format, is an error and never skipped.

use super::{Act, ChangeKind, Digest, NewRecord, Party, RefusedRequest, RequestId, mailing, steps};
use crate::domain::{
    Direction, LedgerId, Mailing, PrincipalId, PrincipalKind, Revision, RuleChange, Timestamp,
};
use serde::{Deserialize, Deserializer, Serialize};
use std::borrow::Cow;
use std::sync::Arc;

/// The formats that are written, without a mailing and with one, and the one that is read besides.
const FORMAT: u64 = 2;
const WITH_MAILING: u64 = 3;
const FORMER: u64 = 1;

/// Why an entry does not read.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// Not JSON, not these fields, or a change that no rule file could hold.
    #[error("entry is no record")]
    Malformed(#[source] Unreadable),

    /// Written by a later version.
    #[error("entry has format {found}; this version reads formats {FORMER} to {WITH_MAILING}")]
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
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "stated")]
    ledger: Option<Cow<'a, str>>,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "mailing::write",
        deserialize_with = "mailing::read"
    )]
    mailing: Option<Arc<Mailing>>,
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
        format: format_of(content),
        kind: content.kind.map(|kind| kind.name().into()),
        ledger: content.ledger.as_ref().map(|ledger| ledger.as_str().into()),
        mailing: content.mailing.clone(),
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

/// The format that a record is written in.
fn format_of(content: &NewRecord) -> u64 {
    if content.mailing.is_some() || content.ledger.is_some() { WITH_MAILING } else { FORMAT }
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
                Ok(AnyForm { format }) if !(FORMAT..=WITH_MAILING).contains(&format) => {
                    Err(EntryError::UnknownFormat { found: format })
                }
                _ => Err(EntryError::Malformed(Unreadable(error.column()))),
            };
        }
    };
    if !(FORMAT..=WITH_MAILING).contains(&form.format) {
        return Err(EntryError::UnknownFormat { found: form.format });
    }
    let format = form.format;
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
    let ledger = form.ledger.as_deref().map(|digits| {
        LedgerId::parse(digits).ok_or_else(named("ledger", "it is not 32 hex digits"))
    });
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
        mailing: form.mailing,
        ledger: ledger.transpose()?,
    };
    if format != format_of(&content) {
        return Err(field("mailing", "it does not go with the format"));
    }
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
    let is_of_mailing = content.kind == Some(ChangeKind::SendMailing);
    let tells_mailing = is_of_mailing && matches!(content.act, Act::Propose | Act::Approve);
    needs("mailing", content.mailing.is_some() == tells_mailing)?;
    needs("ledger", content.ledger.is_some() == (content.act == Act::Begin))?;
    needs("kind", is_of_mailing || content.act != Act::Begin)?;
    if is_of_mailing {
        no_change()?;
        needs("act", !matches!(content.act, Act::Make | Act::Edit | Act::Emergency))?;
    }
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
        Act::Begin => needs("proposal", content.proposal.is_some()),
        Act::Refuse => no_change(),
    }
}

/// Reads a text; where the key is, there must be one.
fn stated<'a, 'de, D: Deserializer<'de>>(from: D) -> Result<Option<Cow<'a, str>>, D::Error> {
    String::deserialize(from).map(|text| Some(text.into()))
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
