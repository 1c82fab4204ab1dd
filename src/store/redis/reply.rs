//! Replies of scripts: a list of texts, whose first says what it is. Read strictly, and never trusted.

use super::trouble::Trouble;
use crate::domain::{ChainHash, Lineage, Revision};
use crate::store::{BoxError, Reign, StoreError};
use redis::Value;
use std::time::Duration;

/// What a script returned, read from its start.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) kind: String,
    rest: std::vec::IntoIter<String>,
}

impl Reply {
    /// Reads a script's answer. A server that is no primary has done nothing.
    pub(super) fn read(value: Value) -> Result<Self, Trouble> {
        let Value::Array(values) = value else { return Err(nonsense("it is no list")) };
        let texts: Result<Vec<String>, Trouble> = values.into_iter().map(text).collect();
        let mut rest = texts?.into_iter();
        let kind = rest.next().ok_or_else(|| nonsense("it is empty"))?;
        match kind.as_str() {
            "NOT_PRIMARY" => Err(Trouble::away("the server is no primary")),
            _ => Ok(Self { kind, rest }),
        }
    }

    /// The failures that all scripts share; else a reply that says something of the history.
    pub(super) fn sound(mut self) -> Result<Self, StoreError> {
        match self.kind.as_str() {
            "CORRUPT" => {
                let place = self.rest.next().unwrap_or_else(|| "the store".to_owned());
                let why = self.rest.next().unwrap_or_else(|| "it does not read".to_owned());
                Err(StoreError::Corrupt { place, source: why.into() })
            }
            _ => Ok(self),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.rest.len() == 0
    }

    pub(super) fn text(&mut self) -> Result<String, BoxError> {
        self.rest.next().ok_or_else(|| "a reply of the store is too short".into())
    }

    pub(super) fn reign(&mut self) -> Result<Reign, BoxError> {
        Ok(Reign(self.text()?.into()))
    }

    pub(super) fn revision(&mut self) -> Result<Revision, BoxError> {
        Ok(Revision(self.count()?))
    }

    pub(super) fn count(&mut self) -> Result<u64, BoxError> {
        let text = self.text()?;
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(number) if digits => Ok(number),
            _ => Err("a reply of the store holds no number where one belongs".into()),
        }
    }

    pub(super) fn milliseconds(&mut self) -> Result<Duration, BoxError> {
        Ok(Duration::from_millis(self.count()?))
    }

    pub(super) fn chain(&mut self) -> Result<ChainHash, BoxError> {
        let text = self.text()?;
        ChainHash::parse(&text).ok_or_else(|| "a reply of the store holds no hash".into())
    }

    pub(super) fn lineage(&mut self) -> Result<Lineage, BoxError> {
        let text = self.text()?;
        Lineage::parse(&text).ok_or_else(|| "a reply of the store holds no lineage".into())
    }

    /// Lineages with commas between, or an empty text for none.
    pub(super) fn ancestors(&mut self) -> Result<Vec<Lineage>, BoxError> {
        let text = self.text()?;
        let ancestors = text.split_terminator(',').map(Lineage::parse);
        ancestors
            .collect::<Option<_>>()
            .ok_or_else(|| "a reply of the store holds no lineage".into())
    }

    /// What to say about a kind that no script of this version returns.
    pub(super) fn unexpected(self) -> BoxError {
        format!("the store answered `{}`, which means nothing here", self.kind).into()
    }
}

/// A text. What is no UTF-8 is nothing that we wrote; it then fails whatever check comes next.
pub(super) fn text(value: Value) -> Result<String, Trouble> {
    match value {
        Value::BulkString(bytes) => Ok(String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())),
        Value::SimpleString(text) => Ok(text),
        Value::Okay => Ok("OK".to_owned()),
        Value::Int(number) => Ok(number.to_string()),
        _ => Err(nonsense("it holds something that is no text")),
    }
}

pub(super) fn nonsense(why: &'static str) -> Trouble {
    Trouble::Lost(format!("the server's reply is none of ours: {why}").into())
}
