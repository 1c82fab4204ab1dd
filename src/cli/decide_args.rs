//! Who decides on a change that waits, and under which name the attempt can be repeated.

use super::change_args::{request_id, this_user};
use super::confirm::confirm;
use super::connection::ServerArgs;
use super::exit::Failure;
use crate::audit::RequestId;
use uuid::Uuid;

/// Said with every decision.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct DecideArgs {
    /// The change's number; `offergate changes` lists those that wait
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) change: u64,

    /// Who decides [default: whom your token or certificate names, else the user who runs this]
    #[arg(long, value_name = "NAME", env = "OFFERGATE_AUTHOR", help_heading = "Record")]
    author: Option<String>,

    /// Name of this attempt: repeat a command with the same one, and it is done once
    #[arg(long, value_name = "ID", value_parser = request_id, help_heading = "Record")]
    request_id: Option<RequestId>,

    /// Do not ask before deciding
    #[arg(short, long, help_heading = "Record")]
    yes: bool,

    #[command(flatten)]
    pub(super) server: ServerArgs,
}

impl DecideArgs {
    /// Who decides.
    pub(super) fn author(&self) -> Result<String, Failure> {
        let author = match &self.author {
            Some(author) => Some(author.clone()),
            None => self.server.author()?.or_else(this_user),
        };
        author.ok_or_else(|| {
            Failure::usage("nobody is named as the author").help("say --author NAME")
        })
    }

    /// The name of the attempt.
    pub(super) fn request_id(&self) -> String {
        let given = self.request_id.as_ref().map(|id| id.as_str().to_owned());
        given.unwrap_or_else(|| Uuid::now_v7().to_string())
    }

    /// Asks whether to go on, where there is somebody to ask.
    pub(super) fn confirm(&self, verb: &str) -> Result<(), Failure> {
        confirm(&format!("{verb} change {}?", self.change), self.yes)
    }
}
