//! `offergate begin-history`: begins a history in a shared store that holds none, and serves nothing.
//!
//! For whoever sets up a store by a job of its own, so that no server is ever started with leave to begin
//! one. Invariant: a history that is there is left as it is, whatever it holds.

use super::exit::{Exit, Failure};
use super::output::{Answer, Output};
use super::store_args::{self, StoreArgs};
use super::stores::refuse_forbidding;
use super::text::Text;
use crate::config::StoreLocation;
use crate::store::redis::forbidding;
use crate::store::{Head, SharedStore as _, StoreError};
use serde::Serialize;

/// Begin a history in a shared store that holds none; one that is there stays
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Once, for a new store. Where replicas served before, an empty store was emptied, or is another one: fill it
with `offergate restore`.

Examples:
  offergate begin-history --store redis://127.0.0.1:6379")]
pub(super) struct Args {
    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Debug, Serialize)]
struct Begun {
    store: String,
    /// `BEGUN` or `THERE`.
    state: &'static str,
    revision: u64,
    token: String,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let settings = args.store.settings()?;
    let StoreLocation::Redis(url) = &settings.store else {
        return Err(Failure::usage("a file begins its history by itself when it is first served")
            .help("name a shared store: --store redis://HOST"));
    };
    let (shortfalls, begun) = store_args::with_shared(&settings, url, async |store| {
        let shortfalls = store.shortfalls().await?;
        if forbidding(&shortfalls).is_some() {
            return Ok((shortfalls, None));
        }
        if let Some(head) = store.head().await? {
            return Ok((shortfalls, Some(("THERE", head))));
        }
        let state = match store.initialise(None).await {
            Ok(_) => "BEGUN",
            // Somebody else was first.
            Err(StoreError::NotWritten { .. }) => "THERE",
            Err(error) => return Err(error),
        };
        let head = store.head().await?.ok_or(StoreError::Empty)?;
        Ok((shortfalls, Some((state, head))))
    })?;
    refuse_forbidding(&shortfalls)?;
    for shortfall in &shortfalls {
        output.note(format_args!(
            "the store's `{}` is `{}`, not `{}`: {}",
            shortfall.setting, shortfall.found, shortfall.wanted, shortfall.cost
        ));
    }
    if let Some((state, head)) = begun {
        output.answer(&Begun::of(store_args::shown(&settings), state, &head))?;
    }
    Ok(Exit::Ok)
}

impl Begun {
    fn of(store: String, state: &'static str, head: &Head) -> Self {
        Self { store, state, revision: head.revision.0, token: head.token().to_string() }
    }
}

impl Answer for Begun {
    const COLUMNS: &'static [&'static str] = &["store", "state", "revision", "token"];

    fn text(&self, text: &mut Text) {
        match self.state {
            "BEGUN" => text.line(format_args!("a history begins in {}", self.store)),
            _ => text.line(format_args!("there is a history in {}; it stays", self.store)),
        }
        text.fields(&[("revision", self.revision.to_string()), ("token", self.token.clone())]);
    }
}
