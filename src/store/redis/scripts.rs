//! The scripts: each is one atomic step on the server. What they do is told in their own files.

use std::sync::LazyLock;

/// A script's text, and the name that the server knows it by.
pub(super) struct Script {
    pub(super) text: &'static str,
    pub(super) hash: String,
}

macro_rules! scripts {
    ($($(#[doc = $doc:literal])* $name:ident = [$($part:literal),+];)*) => {
        $($(#[doc = $doc])*
        pub(super) static $name: LazyLock<Script> = LazyLock::new(|| {
            let text = concat!($(include_str!(concat!("scripts/", $part, ".lua")), "\n",)+);
            Script { text, hash: redis::Script::new(text).get_hash().to_owned() }
        });)*
    };
}

scripts! {
    /// Begins a history.
    INITIALISE = ["prelude", "initialise"];
    /// Takes a whole history over, page by page.
    FILL = ["prelude", "fill"];
    /// Says where the history stands.
    HEAD = ["prelude", "head"];
    /// Writes one change.
    COMMIT = ["prelude", "commit"];
    /// Reads records.
    READ = ["prelude", "read"];
    /// Looks a request up.
    REQUEST = ["prelude", "request"];
    /// Takes a replica's report.
    RENEW = ["prelude", "members", "renew"];
    /// Lists the replicas.
    FLEET = ["prelude", "members", "fleet"];
    /// Writes something to wait for.
    CONFIRM = ["prelude", "confirm"];
    /// Takes replicas off the list.
    LEAVE = ["prelude", "members", "leave"];
}
