//! `offergate check`: may this customer be offered, or keep using, this product, now?

use super::connection::{ServerArgs, failed};
use super::decision_view::DecisionView;
use super::exit::{Exit, Failure};
use super::output::Output;
use super::request_args::RequestArgs;

/// Ask whether a customer may be offered, or keep using, a product, now
#[derive(Debug, clap::Args)]
#[command(after_help = "\
What is not said about the customer is missing data, never assumed.

Examples:
  offergate check --customer c-1 --offer kis-12m --action OFFER --country GB --holding NONE
  echo '{\"customer\": {\"id\": \"c-1\"}, \"offer\": \"kis-12m\", \"action\": \"USE\"}' |
    offergate check --request - -o json")]
pub(super) struct Args {
    #[command(flatten)]
    request: RequestArgs,

    #[command(flatten)]
    server: ServerArgs,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let request = args.request.document()?.to_wire()?;
    let response = args.server.ask(output, async |client| {
        client.check_eligibility(request).await.map_err(failed("the check"))
    })?;
    let decision = response.decision.ok_or_else(no_decision)?;
    output.answer(&DecisionView::of(decision)?)?;
    Ok(Exit::Ok)
}

/// For an answer that breaks the contract. It must not read like a yes.
pub(super) fn no_decision() -> Failure {
    Failure::new(Exit::Failure, "the server answered without a decision")
}
