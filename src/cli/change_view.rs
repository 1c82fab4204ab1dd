//! What a change of the rules did, laid out for people: the same for every command that makes one.

use super::enforcement::Followed;
use super::output::Answer as _;
use super::preview::Preview;
use super::proposal_view::ProposalView;
use super::revision_view::RevisionView;
use super::text::{Text, counted, to_the_second};

/// What is told of a change beside the thing that it made.
pub(super) struct ChangeView<'a> {
    /// Whether it was only looked at.
    pub(super) dry_run: bool,
    /// The offers and customers that it touches, where they could be told.
    pub(super) touched: Option<&'a Preview>,
    /// The revision that it led to.
    pub(super) revision: Option<&'a RevisionView>,
    /// What waits for another person, and what to say of it.
    pub(super) proposal: Option<(&'a ProposalView, String)>,
    /// How far it was followed.
    pub(super) followed: &'a Followed,
    /// The command that undoes it, where there is one.
    pub(super) lift: Option<&'a str>,
}

impl ChangeView<'_> {
    /// Lays it out around the thing that `made` lays out.
    pub(super) fn text(&self, text: &mut Text, made: impl FnOnce(&mut Text)) {
        if self.dry_run {
            text.line(
                "nothing was changed; this is what would be, once another person approved it:",
            );
            text.gap();
        }
        made(text);
        if let Some(touched) = self.touched {
            text.gap();
            touched.text(text);
        }
        if let Some((proposal, said)) = &self.proposal {
            text.gap();
            text.line(said);
            // Where offers were listed, they were counted too.
            let touches = match self.touched {
                Some(_) => String::new(),
                None => counted(proposal.offers_changed, "offer"),
            };
            text.fields(&[
                ("touches", touches),
                ("due", to_the_second(proposal.due_time.as_ref())),
                ("digest", proposal.digest.clone()),
            ]);
        } else if let Some(revision) = self.revision {
            text.gap();
            text.fields(&[
                ("revision", revision.revision.to_string()),
                ("token", revision.token.clone()),
                ("request id", revision.request_id.clone()),
                ("committed", self.followed.shown()),
                ("to lift it", self.lift.unwrap_or_default().to_owned()),
            ]);
        }
    }
}
