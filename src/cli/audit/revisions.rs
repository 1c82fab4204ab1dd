//! The rules of revisions that records name: from the file of a store, or from a running server.
//!
//! Invariant: rules are handed out only if their place in history is the one that the record names: the
//! same number and the same chain. A restored store has a name of its own for the same history.

use crate::audit::Chain;
use crate::cli::connection::{ServerArgs, failed};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::Output;
use crate::cli::restore::store_failure;
use crate::domain::{Revision, RuleSet};
use crate::rules;
use crate::store::embedded::each_stored;
use crate::wire::proto;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

/// How many revisions are kept at once: records name them nearly in order.
const KEPT: usize = 8;

/// Where the rules are.
#[derive(Debug, clap::Args)]
pub(super) struct RevisionArgs {
    /// The rules' history: a store, a backup or a journal [default: the server's]
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,

    #[command(flatten)]
    server: ServerArgs,
}

impl RevisionArgs {
    /// The rules of a revision, if they stand at this place in history.
    pub(super) fn load(
        &self,
        revision: Revision,
        token: &str,
        output: &Output,
    ) -> Result<RuleSet, Failure> {
        let (rules, place) = match &self.store {
            Some(path) => {
                let found = fold(path, revision)?;
                found.ok_or_else(|| {
                    let what = format!("revision {revision} is not in `{}`", path.display());
                    Failure::new(Exit::NotFound, what)
                })?
            }
            None => self.exported(revision, output)?,
        };
        if place != place_of(token) {
            let what = format!("revision {revision} is {place} there, and {token} in the record");
            return Err(Failure::new(Exit::Conflict, what)
                .help("the record belongs to another history: give its own --store or --server"));
        }
        Ok(rules)
    }

    fn exported(&self, revision: Revision, output: &Output) -> Result<(RuleSet, String), Failure> {
        let request = proto::ExportRulesRequest { revision: Some(revision.0) };
        let response = self.server.ask(output, async |client| {
            client.export_rules(request).await.map_err(failed("the rules of a revision"))
        })?;
        let document = response.document.unwrap_or_default();
        let rules = rules::read(&document.yaml).map_err(|error| {
            Failure::new(Exit::Failure, "the server's rule file cannot be read").because(error)
        })?;
        Ok((rules, place_of(&response.token)))
    }
}

/// Number and chain of a token, whatever history calls them its own.
fn place_of(token: &str) -> String {
    token.split_once('.').map_or_else(String::new, |(_, place)| place.to_owned())
}

/// The rules after the records of a file up to a revision, each verified, and their place.
fn fold(path: &std::path::Path, revision: Revision) -> Result<Option<(RuleSet, String)>, Failure> {
    let (mut chain, mut rules) = (Chain::START, RuleSet::default());
    let mut broken = None;
    let read = each_stored(path, |row| {
        let Ok((number, hash, entry)) = row else { return };
        if revision < number || broken.is_some() {
            return;
        }
        match chain.follow(number, hash, entry) {
            Ok(record) => {
                record.content.effect().into_iter().for_each(|effect| rules.apply(effect))
            }
            Err(error) => broken = Some(error),
        }
    });
    read.map_err(store_failure)?;
    if let Some(error) = broken {
        return Err(
            Failure::new(Exit::Failure, format_args!("`{}`", path.display())).because(error)
        );
    }
    let place = format!("{revision}.{}", chain.hash.prefix());
    Ok((chain.revision == revision).then_some((rules, place)))
}

/// What was made of some revisions, the latest used first.
pub(super) struct Kept<K, T>(VecDeque<(K, Arc<T>)>);

impl<K: PartialEq, T> Kept<K, T> {
    pub(super) fn new() -> Self {
        Self(VecDeque::new())
    }

    /// What was made for a key, or is made now.
    pub(super) fn get(
        &mut self,
        key: K,
        make: impl FnOnce() -> Result<T, Failure>,
    ) -> Result<Arc<T>, Failure> {
        if let Some(place) = self.0.iter().position(|(known, _)| *known == key)
            && let Some(found) = self.0.remove(place)
        {
            let made = Arc::clone(&found.1);
            self.0.push_front(found);
            return Ok(made);
        }
        let made = Arc::new(make()?);
        self.0.truncate(KEPT - 1);
        self.0.push_front((key, Arc::clone(&made)));
        Ok(made)
    }
}
