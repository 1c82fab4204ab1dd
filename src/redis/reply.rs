//! Replies of scripts: a list of texts, whose first says what it is. Read strictly, and never trusted.

use super::trouble::{BoxError, Trouble};
use redis::Value;
use std::time::Duration;

/// What a script returned, read from its start.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) kind: String,
    rest: std::vec::IntoIter<Vec<u8>>,
}

impl Reply {
    /// Reads a script's answer. A server that is no primary has done nothing.
    pub(crate) fn read(value: Value) -> Result<Self, Trouble> {
        let Value::Array(values) = value else { return Err(nonsense("it is no list")) };
        let all: Result<Vec<Vec<u8>>, Trouble> = values.into_iter().map(bytes).collect();
        let mut rest = all?.into_iter();
        let kind = rest.next().map(lossy).ok_or_else(|| nonsense("it is empty"))?;
        match kind.as_str() {
            "NOT_PRIMARY" => Err(Trouble::away("the server is no primary")),
            _ => Ok(Self { kind, rest }),
        }
    }

    /// What is left of it.
    pub(crate) fn next(&mut self) -> Option<Vec<u8>> {
        self.rest.next()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.rest.len() == 0
    }

    pub(crate) fn text(&mut self) -> Result<String, BoxError> {
        self.next().map(lossy).ok_or_else(|| "a reply of the store is too short".into())
    }

    pub(crate) fn count(&mut self) -> Result<u64, BoxError> {
        let text = self.text()?;
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(number) if digits => Ok(number),
            _ => Err("a reply of the store holds no number where one belongs".into()),
        }
    }

    pub(crate) fn milliseconds(&mut self) -> Result<Duration, BoxError> {
        Ok(Duration::from_millis(self.count()?))
    }

    /// What to say about a kind that no script of this version returns.
    pub(crate) fn unexpected(self) -> BoxError {
        format!("the store answered `{}`, which means nothing here", self.kind).into()
    }
}

/// A text. What is no UTF-8 is nothing that we wrote; it then fails whatever check comes next.
pub(crate) fn text(value: Value) -> Result<String, Trouble> {
    bytes(value).map(lossy)
}

fn lossy(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

fn bytes(value: Value) -> Result<Vec<u8>, Trouble> {
    match value {
        Value::BulkString(bytes) => Ok(bytes),
        Value::SimpleString(text) => Ok(text.into_bytes()),
        Value::Okay => Ok(b"OK".to_vec()),
        Value::Int(number) => Ok(number.to_string().into_bytes()),
        _ => Err(nonsense("it holds something that is no text")),
    }
}

pub(crate) fn nonsense(why: &'static str) -> Trouble {
    Trouble::Lost(format!("the server's reply is none of ours: {why}").into())
}
