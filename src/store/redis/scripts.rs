//! The store's scripts. What they do is told in their own files.

use crate::redis::scripts;

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
