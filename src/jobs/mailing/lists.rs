//! Passes over an audience that send nothing: the first messages, for people to look at; and who is in doubt
//! or was not readable, which only the audience and the ledger together can tell.

use crate::domain::Timestamp;
use crate::jobs::error::JobError;
use crate::jobs::mailing::audience::{Naming, Recipient, Source, has_column};
use crate::jobs::mailing::judge::check_channel;
use crate::jobs::mailing::message::letter;
use crate::jobs::mailing::plan::{Kind, Plan};
use crate::jobs::mailing::template::Template;
use crate::ledger::{Ledger, LedgerKey, PROOFS};
use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::mpsc::sync_channel;

/// Who is named by their rows.
#[derive(Debug, Default)]
pub struct Lists {
    /// `line,id` of everybody in doubt, as CSV with a header.
    pub in_doubt: String,
    /// `line,reason` of every row that cannot be written to, as CSV with a header.
    pub rejects: String,
    /// How many proofs are in doubt.
    pub proofs_in_doubt: usize,
}

/// Names everybody in doubt, and every row that is no recipient.
///
/// # Errors
/// When the audience or the ledger cannot be read.
pub fn lists(
    source: &Source,
    plan: &Plan,
    ledger: &dyn Ledger,
    key: &LedgerKey,
) -> Result<Lists, JobError> {
    let doubtful: HashSet<_> = ledger.doubtful()?.into_iter().collect();
    let mut lists = Lists {
        in_doubt: "line,id\n".to_owned(),
        rejects: "line,reason\n".to_owned(),
        proofs_in_doubt: doubtful.iter().filter(|place| place.block == PROOFS).count(),
    };
    pass(source, plan, key, |recipient| {
        if doubtful.contains(&recipient.place) {
            let _ = writeln!(lists.in_doubt, "{},{}", recipient.line, quoted(&recipient.id));
        }
        if let Some(why) = reject(&recipient) {
            let _ = writeln!(lists.rejects, "{},{}", recipient.line, quoted(&why));
        }
        true
    })?;
    Ok(lists)
}

/// Checks the columns, and makes the first messages, at most `most`, as they would be sent. An error in one
/// is an error of all: it is the template's.
///
/// # Errors
/// When a column is missing, or a message cannot be made.
pub fn preview(
    source: &Source,
    plan: &Plan,
    template: &Template,
    now: Timestamp,
    most: usize,
) -> Result<Vec<String>, JobError> {
    let columns = source.columns()?;
    has_column(&source.path, &columns, &plan.address_column)?;
    if let Some(column) = &plan.household_column {
        has_column(&source.path, &columns, column)?;
    }
    if plan.kind == Kind::Offer {
        check_channel(&source.mapping, &columns)?;
    }
    template.check(&columns, plan.kind)?;
    let (mut messages, mut wrong) = (Vec::new(), None);
    // Nothing of it is kept, so the key is nobody's.
    pass(source, plan, &LedgerKey::new(&[0; 32]), |recipient| {
        let (Ok(values), Ok(to)) = (&recipient.values, &recipient.to) else { return true };
        let made = template
            .render(|name| values.value(name))
            .and_then(|rendered| letter(template, rendered, to, recipient.place.tag, now));
        match made {
            Ok(letter) => messages.push(String::from_utf8_lossy(&letter.bytes).into_owned()),
            Err(why) => {
                let place = format!("{}:{}", source.path.display(), recipient.line);
                let what = format!("the template cannot be rendered: {why}");
                wrong = Some(JobError::Input { place, what });
            }
        }
        wrong.is_none() && messages.len() < most
    })?;
    wrong.map_or(Ok(messages), Err)
}

/// Goes over the recipients until told to stop.
pub(super) fn pass(
    source: &Source,
    plan: &Plan,
    key: &LedgerKey,
    each: impl FnMut(Recipient) -> bool,
) -> Result<(), JobError> {
    pass_as(source, &Naming { key, plan, mapping: &source.mapping, is_proof: false }, each)
}

/// The same, of customers or of proofs.
pub(super) fn pass_as(
    source: &Source,
    naming: &Naming<'_>,
    mut each: impl FnMut(Recipient) -> bool,
) -> Result<(), JobError> {
    std::thread::scope(|scope| {
        let (to, from) = sync_channel(1);
        let reading = scope.spawn(move || source.read(naming, &to));
        let _ = from.into_iter().flatten().all(&mut each);
        let read = reading.join().unwrap_or_else(|_| {
            let source = std::io::Error::other("a thread died");
            Err(JobError::Io { doing: "reading the audience".to_owned(), source })
        });
        read.map(drop)
    })
}

/// Why a row is no recipient. The same as the ledger says.
fn reject(recipient: &Recipient) -> Option<String> {
    match (&recipient.values, &recipient.to) {
        (Err(why), _) => Some(why.clone()),
        (Ok(_), _) if recipient.id.is_empty() => Some("`customer.id` is missing".to_owned()),
        (Ok(_), Err(why)) => Some((*why).to_owned()),
        (Ok(_), Ok(_)) => None,
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\"").replace(['\r', '\n'], " "))
}
