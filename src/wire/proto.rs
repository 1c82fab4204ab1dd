//! What `build.rs` generated from `proto/`, and nothing by hand but what must not be derived.

#![allow(clippy::all, reason = "generated code is not ours to tidy")]

use std::fmt;

include!(concat!(env!("OUT_DIR"), "/offergate.v1.rs"));

/// The descriptors of all files, imports included, for reflection.
pub const DESCRIPTORS: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/offergate.v1.descriptors"));

macro_rules! show_nothing {
    ($($message:ident)*) => {$(
        impl fmt::Debug for $message {
            /// Shows nothing: what a caller says about a customer belongs in no log line.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($message), "(..)"))
            }
        }
    )*};
}

show_nothing! { Customer Holding PreviewSample Scope }
