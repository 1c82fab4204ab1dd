//! `offergate health`: whether a server, or one of its services, serves now.

use super::connection::{ServerArgs, failed};
use super::exit::{Exit, Failure};
use super::output::{Answer, Output};
use super::text::Text;
use serde::Serialize;

/// Ask whether a server serves; exit code 1 when it does not
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Full name of one service, such as offergate.v1.EligibilityService
    #[arg(long, value_name = "NAME", default_value = "")]
    service: String,

    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Serialize)]
struct Health {
    service: String,
    status: &'static str,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let serving = args.server.ask(output, async |client| {
        client.is_serving(&args.service).await.map_err(failed("the health check"))
    })?;
    let status = if serving { "SERVING" } else { "NOT_SERVING" };
    output.answer(&Health { service: args.service.clone(), status })?;
    Ok(if serving { Exit::Ok } else { Exit::Failure })
}

impl Answer for Health {
    const COLUMNS: &'static [&'static str] = &["service", "status"];

    fn text(&self, text: &mut Text) {
        text.line(format_args!("{} {}", self.status, self.service).to_string().trim_end());
    }
}
