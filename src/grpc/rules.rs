//! Adapts `RuleService`.

use super::api::Api;
use super::deadline;
use super::eligibility::rule_file;
use super::paging::{self, Page};
use super::proposals::{act, direction, kind, waits};
use super::requester::{Hand, Why, asked};
use super::status::{invalid, status_of};

use crate::domain::{Revision, Token};
use crate::service::{Difference, DifferenceKind, Plan, Revised};
use crate::wire::mailing::write_mailing;
use crate::wire::{FieldErrors, proto, time};
use futures_util::{Stream, StreamExt};
use proto::rule_service_server::RuleService;
use std::pin::Pin;
use tonic::{Request, Response, Status};

/// How many records of the history are in memory at once: each can hold a whole rule file.
const AT_A_TIME: usize = 10;

#[tonic::async_trait]
impl RuleService for Api {
    async fn plan_rules(
        &self,
        request: Request<proto::PlanRulesRequest>,
    ) -> Result<Response<proto::PlanRulesResponse>, Status> {
        let document = request.into_inner().document.ok_or_else(no_document)?;
        let (plan, base) = self.service.plan(rule_file(document)).await.map_err(status_of)?;
        Ok(Response::new(proto::PlanRulesResponse { lines: planned(&plan), base_revision: base.0 }))
    }

    async fn apply_rules(
        &self,
        request: Request<proto::ApplyRulesRequest>,
    ) -> Result<Response<proto::ApplyRulesResponse>, Status> {
        let (hand, message) = Hand::of(request);
        let mut errors = FieldErrors::default();
        if message.document.is_none() {
            errors.add("document", "is required");
        }
        if message.expected_revision.is_none() {
            errors.add("expected_revision", "is required: the revision that was planned against");
        }
        let why = Why::OfAFile { reason: &message.reason, ticket: &message.ticket };
        let requester =
            asked!(message).read(&hand, why, errors).map_err(|errors| invalid(&errors))?;
        let file = rule_file(message.document.ok_or_else(no_document)?);
        let (changed, plan) = self.service.apply(requester, file).await.map_err(status_of)?;
        let proposal = waits(&self.service, &changed, false).await;
        let revision = match changed.revised {
            Some(revised) => revision(&revised),
            None => self.newest().await?,
        };
        let lines = planned(&plan);
        Ok(Response::new(proto::ApplyRulesResponse { revision: Some(revision), lines, proposal }))
    }

    async fn export_rules(
        &self,
        request: Request<proto::ExportRulesRequest>,
    ) -> Result<Response<proto::ExportRulesResponse>, Status> {
        let asked = request.get_ref().revision.map(Revision);
        let (yaml, head) = self.service.export(asked).await.map_err(status_of)?;
        let document = proto::RuleDocument { yaml, name: "rules".to_owned() };
        Ok(Response::new(proto::ExportRulesResponse {
            document: Some(document),
            revision: head.revision.0,
            token: head.token().to_string(),
        }))
    }

    async fn get_revision(
        &self,
        request: Request<proto::GetRevisionRequest>,
    ) -> Result<Response<proto::GetRevisionResponse>, Status> {
        let revision = match request.get_ref().number {
            None => self.newest().await?,
            Some(number) => {
                let found = self.service.revision(Some(Revision(number))).await;
                match found.map_err(status_of)? {
                    Some(revised) => revision(&revised),
                    None => proto::Revision::default(),
                }
            }
        };
        Ok(Response::new(proto::GetRevisionResponse { revision: Some(revision) }))
    }

    async fn list_revisions(
        &self,
        request: Request<proto::ListRevisionsRequest>,
    ) -> Result<Response<proto::ListRevisionsResponse>, Status> {
        let message = request.get_ref();
        let number = |text: &str| text.parse().ok().map(Revision);
        let size = paging::size(message.page_size);
        let before = paging::token(&message.page_token, number);
        let (size, before) =
            super::eligibility::both(size, before).map_err(|errors| invalid(&errors))?;
        let revisions = self.revisions(before, size).await?;
        let next_page_token = match revisions.last() {
            Some(last) if 1 < last.number => last.number.to_string(),
            Some(_) | None => String::new(),
        };
        Ok(Response::new(proto::ListRevisionsResponse { revisions, next_page_token }))
    }

    type WatchRevisionsStream =
        Pin<Box<dyn Stream<Item = Result<proto::WatchRevisionsResponse, Status>> + Send>>;

    async fn watch_revisions(
        &self,
        request: Request<proto::WatchRevisionsRequest>,
    ) -> Result<Response<Self::WatchRevisionsStream>, Status> {
        let deadline = deadline::of(&request);
        let message = request.get_ref();
        let known = after_token(message).map_err(|errors| invalid(&errors))?;
        let after = message.after_revision.map(Revision);
        let after = after.or(known.as_ref().map(|known| known.revision));
        let revisions = self.service.watch(after, known.as_ref()).await.map_err(status_of)?;
        let messages = revisions.map(|revised| {
            let revision = Some(revision(&revised.map_err(status_of)?));
            Ok(proto::WatchRevisionsResponse { revision })
        });
        let messages = messages.take_until(self.switch.off());
        Ok(Response::new(deadline::end(messages, deadline)))
    }
}

/// The place that a watcher knows, if it says so.
fn after_token(message: &proto::WatchRevisionsRequest) -> Result<Option<Token>, FieldErrors> {
    if message.after_token.is_empty() {
        return Ok(None);
    }
    let known = Token::parse(&message.after_token)
        .map_err(|error| FieldErrors::one("after_token", error))?;
    if message.after_revision.is_some_and(|after| after != known.revision.0) {
        return Err(FieldErrors::one("after_token", "is not the token of `after_revision`"));
    }
    Ok(Some(known))
}

impl Api {
    /// The newest revision; one without a change while there was none.
    async fn newest(&self) -> Result<proto::Revision, Status> {
        let head = self.service.head().map_err(status_of)?;
        let found = self.service.revision(Some(head.revision)).await.map_err(status_of)?;
        Ok(found.map_or_else(
            || proto::Revision { token: head.token().to_string(), ..<_>::default() },
            |revised| revision(&revised),
        ))
    }
}

impl Api {
    /// Up to `most` revisions below `before`, newest first, as many as fit into an answer.
    async fn revisions(
        &self,
        mut before: Option<Revision>,
        most: usize,
    ) -> Result<Vec<proto::Revision>, Status> {
        let mut page = Page::of(most);
        while 0 < page.left() {
            let some = page.left().min(AT_A_TIME);
            let found = self.service.revisions(before, some).await.map_err(status_of)?;
            let Some(last) = found.last() else { break };
            before = Some(last.record.revision);
            if !found.iter().all(|revised| page.take(revision(revised))) {
                break;
            }
        }
        Ok(page.into_things())
    }
}

fn no_document() -> Status {
    invalid(&FieldErrors::one("document", "is required"))
}

/// Writes a revision.
pub(super) fn revision(revised: &Revised) -> proto::Revision {
    let record = &revised.record;
    let content = &record.content;
    let refused = content.refused.as_ref();
    proto::Revision {
        number: record.revision.0,
        token: revised.token.to_string(),
        kind: kind(content.kind).into(),
        author: content.author.name.to_string(),
        approver: content.approver.as_ref().map(|it| it.name.to_string()).unwrap_or_default(),
        reason: content.reason.clone(),
        ticket: content.ticket.clone(),
        create_time: Some(time::write(content.at)),
        request_id: content.request_id.as_str().to_owned(),
        subjects: content.change.edits.iter().map(subject).collect(),
        chain: record.chain.to_string(),
        act: act(content.act).into(),
        direction: direction(content.direction).into(),
        change_id: content.proposal.map_or(0, |proposal| proposal.0),
        refused_code: refused.map(|it| it.code.clone()).unwrap_or_default(),
        refused_asked: refused.map(|it| it.asked.clone()).unwrap_or_default(),
        refused_unwritten: refused.map_or(0, |it| it.unwritten),
        address: content.address.map(|it| it.to_string()).unwrap_or_default(),
        mailing: content.mailing.as_deref().map(write_mailing),
    }
}

/// Writes what one step touches.
pub(super) fn subject(edit: &crate::domain::RuleEdit) -> proto::RevisionSubject {
    let (section, id) = edit.subject();
    proto::RevisionSubject { section: section.to_owned(), id: id.to_owned() }
}

/// Writes a plan: what differs, then what stays although the file does not mention it.
fn planned(plan: &Plan) -> Vec<proto::PlanLine> {
    let kept = |section: &str, id: String| proto::PlanLine {
        effect: proto::PlanEffect::Keep.into(),
        section: section.to_owned(),
        id,
        details: Vec::new(),
    };
    let suspensions = plan.kept_suspensions.iter().map(|id| kept("suspensions", id.to_string()));
    let exemptions = plan.kept_exemptions.iter().map(|id| kept("exemptions", id.to_string()));
    lines(&plan.differences).into_iter().chain(suspensions).chain(exemptions).collect()
}

/// Writes what differs.
pub(super) fn lines(differences: &[Difference]) -> Vec<proto::PlanLine> {
    let line = |difference: &Difference| {
        let effect = match difference.kind {
            DifferenceKind::Added => proto::PlanEffect::Add,
            DifferenceKind::Changed => proto::PlanEffect::Change,
            DifferenceKind::Removed => proto::PlanEffect::Remove,
        };
        let details = difference.fields.iter().map(|field| {
            let or_not =
                |value: &Option<String>| value.clone().unwrap_or("(not stated)".to_owned());
            match (&field.before, &field.after) {
                (None, Some(after)) if difference.kind == DifferenceKind::Added => {
                    format!("{}: {after}", field.name)
                }
                (before, after) => {
                    format!("{}: {} -> {}", field.name, or_not(before), or_not(after))
                }
            }
        });
        proto::PlanLine {
            effect: effect.into(),
            section: difference.section.to_owned(),
            id: difference.id.clone(),
            details: details.collect(),
        }
    };
    differences.iter().map(line).collect()
}
