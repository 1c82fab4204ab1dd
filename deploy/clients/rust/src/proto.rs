//! What `build.rs` generated from the protos, and the `Debug` of what says something about a customer.

#![allow(clippy::all, dead_code, missing_docs, unreachable_pub, reason = "generated code")]

use std::fmt;

tonic::include_proto!("offergate.v1");

macro_rules! show_nothing {
    ($($message:ident)*) => {$(
        impl fmt::Debug for $message {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($message), "(..)"))
            }
        }
    )*};
}

show_nothing! { Customer Holding PreviewSample Scope }
