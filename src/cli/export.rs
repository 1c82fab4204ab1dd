//! `offergate export`: the rules of one revision as a rule file.

use super::connection::{ServerArgs, failed};
use super::exit::{Exit, Failure};
use super::output::{Format, Output};
use crate::wire::proto;

/// Write the rules as a rule file; applying it changes nothing
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  offergate export > rules.yaml")]
pub(super) struct Args {
    /// Of this revision instead of the newest
    #[arg(long, value_name = "N")]
    revision: Option<u64>,

    #[command(flatten)]
    server: ServerArgs,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let response = args.server.ask(output, async |client| {
        let request = proto::ExportRulesRequest { revision: args.revision };
        client.export_rules(request).await.map_err(failed("the export"))
    })?;
    let document = response.document.unwrap_or_default();
    output.note(format_args!("revision {}, token {}", response.revision, response.token));
    match output.format() {
        None | Some(Format::Table | Format::Yaml) => output.raw(&document.yaml)?,
        Some(form @ (Format::Json | Format::Jsonl)) => {
            output.raw(&as_json(&document.yaml, form)?)?;
        }
        Some(Format::Csv) => {
            return Err(Failure::usage("a rule set has no rows, and so no CSV")
                .help("-o yaml, json or jsonl"));
        }
    }
    Ok(Exit::Ok)
}

fn as_json(yaml: &str, form: Format) -> Result<String, Failure> {
    let value: serde_json::Value = serde_saphyr::from_str(yaml).map_err(|error| {
        Failure::new(Exit::Failure, "the server's rule file cannot be read").because(error)
    })?;
    let text = if form == Format::Json {
        serde_json::to_string_pretty(&value)
    } else {
        serde_json::to_string(&value)
    };
    text.map(|text| text + "\n").map_err(|error| {
        Failure::new(Exit::Failure, "the rules cannot be printed as JSON").because(error)
    })
}
