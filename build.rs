//! Turns the protos into Rust: no `protoc` needed. Also writes their descriptors, which the server
//! hands to clients that ask it by reflection.

use std::error::Error;
use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

const FILES: [&str; 8] = [
    "offergate/v1/audit.proto",
    "offergate/v1/catalog.proto",
    "offergate/v1/eligibility.proto",
    "offergate/v1/fleet.proto",
    "offergate/v1/mailing.proto",
    "offergate/v1/permit.proto",
    "offergate/v1/rules.proto",
    "offergate/v1/suspension.proto",
];

/// Messages whose derived `Debug` would put a customer into a log line; `wire` writes it by hand.
const PRIVATE: [&str; 4] = [
    "offergate.v1.Customer",
    "offergate.v1.Holding",
    "offergate.v1.PreviewSample",
    "offergate.v1.Scope",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    name_commit();
    let descriptors = protox::Compiler::new(["proto"])?
        .include_imports(true)
        .include_source_info(true)
        .open_files(FILES)?
        .file_descriptor_set();

    let out = PathBuf::from(env::var("OUT_DIR")?);
    let bytes = prost::Message::encode_to_vec(&descriptors);
    fs::write(out.join("offergate.v1.descriptors"), bytes)?;

    tonic_prost_build::configure()
        .btree_map(".") // Equal messages encode to equal bytes.
        .skip_debug(PRIVATE)
        .emit_rerun_if_changed(false)
        .compile_fds(descriptors)?;
    Ok(())
}

/// Names the commit in `--version`, where git is there to tell. In release builds alone: while the
/// code is being worked on, each commit would build everything anew.
fn name_commit() {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        let told = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| told.trim().to_owned())
    };
    if env::var("PROFILE").as_deref() != Ok("release") {
        return;
    }
    if let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) {
        println!("cargo::rustc-env=OFFERGATE_COMMIT={commit}");
    }
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo::rerun-if-changed={log}");
    }
}
