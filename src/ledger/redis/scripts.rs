//! The ledger's scripts. What they do is told in their own files.

use crate::redis::scripts;

scripts! {
    /// Begins a ledger.
    CREATE = ["prelude", "create"];
    /// Takes over.
    TAKE = ["prelude", "take"];
    /// Keeps the lock, or gives it up.
    RENEW = ["prelude", "renew"];
    /// Takes a group of steps.
    WRITE = ["prelude", "write"];
    /// Sets a fact.
    FACT = ["prelude", "fact"];
    /// Reads.
    READ = ["prelude", "read"];
}
