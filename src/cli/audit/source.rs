//! The forms in which a log comes: a file of a store, JSON lines, or a running server.
//!
//! As JSON lines, the first may be `{"checkpoint": TEXT}`; every other one is a record, `{"revision": N,
//! "chain": HEX, "entry": {...}}`. The entry stands there as the very bytes that were hashed, so a tool
//! that writes it anew, with spaces for example, makes another log of it.

use super::key_file::failed as file_failed;
use super::reading::{Found, Sink, Stored};
use crate::cli::connection::{ServerArgs, failed};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::Output;
use crate::cli::restore::store_failure;
use crate::client::{Client, ClientError};
use crate::domain::{ChainHash, Revision};
use crate::store::Head;
use crate::store::embedded::each_stored;
use crate::wire::proto;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _};
use std::path::{Path, PathBuf};

/// How a file of a store begins.
const STORE: &[u8; 16] = b"SQLite format 3\0";

/// What a server says that signs nothing.
const NO_KEY: &str = "AUDIT_KEY_UNSET";

/// A record as a line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line<'a> {
    pub(super) revision: u64,
    pub(super) chain: &'a str,
    #[serde(borrow)]
    pub(super) entry: &'a RawValue,
}

/// A checkpoint as a line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CheckpointLine {
    pub(super) checkpoint: String,
}

/// A log that was found, and not read yet.
pub(super) enum Source<'a> {
    /// The file of a store, a backup or a journal.
    Store(PathBuf),
    /// JSON lines.
    Lines(BufReader<File>),
    /// A server, up to a size where one was signed.
    Server(&'a ServerArgs, &'a Output, Option<Revision>),
}

impl Source<'_> {
    /// Opens a file of either form; also the checkpoint that it begins with.
    pub(super) fn file(path: &Path) -> Result<(Self, Option<String>), Failure> {
        let io = |error| file_failed(path, "cannot be read", error);
        let mut file = File::open(path).map_err(io)?;
        let mut start = Vec::new();
        file.by_ref().take(16).read_to_end(&mut start).map_err(io)?;
        if start == STORE {
            return Ok((Self::Store(path.to_owned()), None));
        }
        file.rewind().map_err(io)?;
        let mut lines = BufReader::with_capacity(256 * 1024, file);
        let mut first = Vec::new();
        lines.by_ref().take(64 * 1024).read_until(b'\n', &mut first).map_err(io)?;
        if let Ok(CheckpointLine { checkpoint }) = serde_json::from_slice(&first) {
            return Ok((Self::Lines(lines), Some(checkpoint)));
        }
        lines.rewind().map_err(io)?;
        Ok((Self::Lines(lines), None))
    }

    /// Reads all of it; returns where it says that it ends, if it is the file of a store.
    pub(super) fn read(self, sink: &mut Sink<'_>) -> Result<Option<Head>, Failure> {
        match self {
            Self::Store(path) => {
                let head = each_stored(&path, |row| match row {
                    Ok((revision, chain, entry)) => sink.row(revision, chain, entry),
                    Err(why) => sink.unreadable(why),
                });
                head.map(Some).map_err(store_failure)
            }
            Self::Lines(lines) => {
                let unreadable =
                    |error| Failure::new(Exit::Failure, "the log cannot be read").because(error);
                sink.lines(lines).map(|()| None).map_err(unreadable)
            }
            Self::Server(server, output, size) => {
                server.ask(output, async |client| each_record(&client, size, sink).await)?;
                Ok(None)
            }
        }
    }
}

/// What a line says, and where in it the entry stands.
pub(super) fn row_of(line: &[u8]) -> Found {
    let text = std::str::from_utf8(line).map_err(|_| "it is no UTF-8")?;
    let Line { revision, chain, entry } = serde_json::from_str(text)
        .map_err(|_| "the line is no record: `revision`, `chain` and `entry`")?;
    let chain = ChainHash::parse(chain).ok_or("its hash is not 64 hex digits")?;
    let start = entry.get().as_ptr().addr() - line.as_ptr().addr();
    Ok(Stored { revision: Revision(revision), chain, entry: start..start + entry.get().len() })
}

/// The same of a line just as `audit export` writes it, without a look at the entry; `None` for another one.
pub(super) fn row_as_written(line: &[u8]) -> Option<Stored> {
    let rest = std::str::from_utf8(line).ok()?.strip_prefix("{\"revision\":")?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (revision, rest) = rest.split_at_checked(digits)?;
    let (chain, rest) = rest.strip_prefix(",\"chain\":\"")?.split_at_checked(64)?;
    let entry = rest.strip_prefix("\",\"entry\":")?.strip_suffix('}')?;
    let end = line.len() - 1;
    Some(Stored {
        revision: Revision(revision.parse().ok().filter(|_| !revision.starts_with('0'))?),
        chain: ChainHash::parse(chain)?,
        entry: end - entry.len()..end,
    })
}

/// What a server signed last; `None` if it signs nothing.
pub(super) fn signed_by(server: &ServerArgs, output: &Output) -> Result<Option<String>, Failure> {
    server.ask(output, async |client| newest_checkpoint(&client).await)
}

/// The newest checkpoint of a server; `None` if it signs none.
async fn newest_checkpoint(client: &Client) -> Result<Option<String>, Failure> {
    Ok(newest_signed(client).await?.map(|signed| signed.checkpoint))
}

/// The same, with the key that the server names.
pub(super) async fn newest_signed(
    client: &Client,
) -> Result<Option<proto::GetCheckpointResponse>, Failure> {
    let unsigned = |error: &ClientError| error.reason.as_deref() == Some(NO_KEY);
    match client.get_checkpoint(proto::GetCheckpointRequest { size: None }).await {
        Ok(response) => Ok(Some(response)),
        Err(error) if unsigned(&error) => Ok(None),
        Err(error) => Err(failed("the checkpoint")(error)),
    }
}

/// Hands over the records of a server, up to a size or to the end.
async fn each_record(
    client: &Client,
    size: Option<Revision>,
    sink: &mut Sink<'_>,
) -> Result<(), Failure> {
    pages(client, |record| {
        let revision = Revision(record.revision);
        if size.is_some_and(|size| size < revision) {
            return Ok(false);
        }
        match ChainHash::parse(&record.chain) {
            Some(chain) => sink.row(revision, chain, &record.entry),
            None => sink.unreadable("its hash is not 64 hex digits"),
        }
        Ok(size != Some(revision))
    })
    .await
}

/// Asks for records page after page, for as long as `take` wants more.
pub(super) async fn pages(
    client: &Client,
    mut take: impl FnMut(&proto::AuditRecord) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    let mut page_token = String::new();
    loop {
        let request = proto::ListRecordsRequest { page_size: 1000, page_token };
        let page = client.list_records(request).await.map_err(failed("the log"))?;
        for record in &page.records {
            if !take(record)? {
                return Ok(());
            }
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(());
        }
    }
}
