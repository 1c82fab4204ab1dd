//! Generates the client from the protos; no `protoc` needed.

use std::error::Error;

/// Messages that say something about a customer: `src/proto.rs` writes their `Debug`, which shows nothing.
const PRIVATE: [&str; 4] = [
    "offergate.v1.Customer",
    "offergate.v1.Holding",
    "offergate.v1.PreviewSample",
    "offergate.v1.Scope",
];

fn main() -> Result<(), Box<dyn Error>> {
    let protos = "../../../proto";
    println!("cargo::rerun-if-changed={protos}");
    let files = ["offergate/v1/eligibility.proto", "offergate/v1/suspension.proto"];
    let files = protox::compile(files, [protos])?;
    tonic_prost_build::configure()
        .build_server(false)
        .btree_map(".") // Equal messages encode to equal bytes.
        .skip_debug(PRIVATE)
        .compile_fds(files)?;
    Ok(())
}
