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
    name_build();
    pack_relocations();
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

/// Names the commit and the date of the build in `--version`, where anybody tells: the environment
/// (`OFFERGATE_COMMIT`, `SOURCE_DATE_EPOCH`), or git for the commit. Never the clock, so that the same code
/// gives the same bytes. In release builds alone: while the code is being worked on, each commit would build
/// everything anew.
fn name_build() {
    if env::var("PROFILE").as_deref() != Ok("release") {
        return;
    }
    println!("cargo::rerun-if-env-changed=OFFERGATE_COMMIT");
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    let seconds = env::var("SOURCE_DATE_EPOCH").ok().and_then(|text| text.parse().ok());
    if let Some(date) = seconds.map(date) {
        println!("cargo::rustc-env=OFFERGATE_BUILD_DATE={date}");
    }
    if env::var("OFFERGATE_COMMIT").is_ok_and(|commit| !commit.is_empty()) {
        return; // The compiler sees it as it is.
    }
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        let told = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| told.trim().to_owned())
    };
    if let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) {
        println!("cargo::rustc-env=OFFERGATE_COMMIT={commit}");
    }
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo::rerun-if-changed={log}");
    }
}

/// Packs the places that the loader moves at start: unpacked they are 2 MiB, which stay resident for as long as
/// the server runs. The C library reads them since 2.36, and a program built with that one needs it anyway; what
/// is built elsewhere, or for another machine, stays as it is.
fn pack_relocations() {
    let of = |name: &str| env::var(name).unwrap_or_default();
    let is_for_itself = of("HOST") == of("TARGET") && of("TARGET").ends_with("-linux-gnu");
    let told = Command::new("getconf").arg("GNU_LIBC_VERSION").output();
    let told = told.map(|it| String::from_utf8_lossy(&it.stdout).into_owned()).unwrap_or_default();
    let version = told.trim().strip_prefix("glibc ").and_then(|it| it.split_once('.'));
    let version = version.map(|(major, minor)| (major.parse().ok(), minor.parse().ok()));
    if is_for_itself && (Some(2_u32), Some(36_u32)) <= version.unwrap_or_default() {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// The day, in UTC, of so many seconds after 1970 began; years begin in March here, so that a leap day is
/// a year's last.
fn date(seconds: u64) -> String {
    let days = seconds / 86_400 + 719_468; // Since 1 March of the year 0.
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}
