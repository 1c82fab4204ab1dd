//! Adapts `AuditService`.

use super::api::Api;
use super::paging::{self, Page};
use super::status::{invalid, status_of};
use crate::domain::Revision;
use crate::wire::{FieldErrors, proto};
use proto::audit_service_server::AuditService;
use tonic::{Request, Response, Status};

/// How many records are in memory at once beside those of the page: each can hold a whole rule file.
const AT_A_TIME: usize = 10;

#[tonic::async_trait]
impl AuditService for Api {
    async fn list_records(
        &self,
        request: Request<proto::ListRecordsRequest>,
    ) -> Result<Response<proto::ListRecordsResponse>, Status> {
        let message = request.get_ref();
        let number = |text: &str| text.parse().ok().map(Revision);
        let size = paging::size(message.page_size);
        let after = paging::token(&message.page_token, number);
        let (size, after) =
            super::eligibility::both(size, after).map_err(|errors| invalid(&errors))?;
        let (records, more) = self.records(after.unwrap_or_default(), size).await?;
        let next_page_token = match records.last() {
            Some(last) if more => last.revision.to_string(),
            Some(_) | None => String::new(),
        };
        Ok(Response::new(proto::ListRecordsResponse { records, next_page_token }))
    }

    async fn get_checkpoint(
        &self,
        request: Request<proto::GetCheckpointRequest>,
    ) -> Result<Response<proto::GetCheckpointResponse>, Status> {
        let size = request.get_ref().size.map(Revision);
        let (checkpoint, verifier_key) = self.service.checkpoint(size).await.map_err(status_of)?;
        Ok(Response::new(proto::GetCheckpointResponse { checkpoint, verifier_key }))
    }

    async fn get_inclusion_proof(
        &self,
        request: Request<proto::GetInclusionProofRequest>,
    ) -> Result<Response<proto::GetInclusionProofResponse>, Status> {
        let proto::GetInclusionProofRequest { revision, size } = *request.get_ref();
        let mut errors = FieldErrors::default();
        if revision == 0 {
            errors.add("revision", "must be 1 or more: revision 0 is no record");
        } else if size.is_some_and(|size| size < revision) {
            errors.add("size", "must be `revision` or more: a shorter log does not hold it");
        }
        errors.or(|| ()).map_err(|errors| invalid(&errors))?;
        let proof = self.service.prove_inclusion(Revision(revision), size.map(Revision)).await;
        let proof = proof.map_err(status_of)?;
        Ok(Response::new(proto::GetInclusionProofResponse {
            size: proof.size.0,
            leaf: proof.leaf.0.to_vec(),
            hashes: proof.hashes.iter().map(|hash| hash.0.to_vec()).collect(),
            root: proof.root.0.to_vec(),
        }))
    }

    async fn get_consistency_proof(
        &self,
        request: Request<proto::GetConsistencyProofRequest>,
    ) -> Result<Response<proto::GetConsistencyProofResponse>, Status> {
        let proto::GetConsistencyProofRequest { from_size, to_size } = *request.get_ref();
        if to_size.is_some_and(|to_size| to_size < from_size) {
            let errors = FieldErrors::one("to_size", "must be `from_size` or more");
            return Err(invalid(&errors));
        }
        let proof =
            self.service.prove_consistency(Revision(from_size), to_size.map(Revision)).await;
        let proof = proof.map_err(status_of)?;
        Ok(Response::new(proto::GetConsistencyProofResponse {
            to_size: proof.to.0,
            hashes: proof.hashes.iter().map(|hash| hash.0.to_vec()).collect(),
            from_root: proof.from_root.0.to_vec(),
            to_root: proof.to_root.0.to_vec(),
        }))
    }

    async fn replay_decision(
        &self,
        request: Request<proto::ReplayDecisionRequest>,
    ) -> Result<Response<proto::ReplayDecisionResponse>, Status> {
        let id = uuid::Uuid::parse_str(&request.get_ref().decision_id).map_err(|_| {
            invalid(&FieldErrors::one("decision_id", "is no id that an answer carried"))
        })?;
        let (record, found) = self.service.replay_decision(id).await.map_err(status_of)?;
        let differences = found.into_iter().map(|found| proto::ReplayDifference {
            by: found.by.to_owned(),
            field: found.field.to_owned(),
            recorded: found.recorded,
            decided: found.decided,
        });
        let differences = differences.collect();
        Ok(Response::new(proto::ReplayDecisionResponse { record, differences }))
    }

    async fn list_exposures(
        &self,
        request: Request<proto::ListExposuresRequest>,
    ) -> Result<Response<proto::ListExposuresResponse>, Status> {
        let page = super::exposures::list(&self.service, request.get_ref()).await?;
        Ok(Response::new(page))
    }
}

impl Api {
    /// Up to `most` records after one, as many as fit into an answer, and whether there are more.
    async fn records(
        &self,
        mut after: Revision,
        most: usize,
    ) -> Result<(Vec<proto::AuditRecord>, bool), Status> {
        let mut page = Page::of(most);
        while 0 < page.left() {
            let some = page.left().min(AT_A_TIME);
            let records = self.service.audit_records(after, some).await.map_err(status_of)?;
            let Some(last) = records.last() else { return Ok((page.into_things(), false)) };
            after = last.revision;
            let written = |record: &crate::service::Record| proto::AuditRecord {
                revision: record.revision.0,
                chain: record.chain.to_string(),
                entry: record.entry.as_ref().to_owned(),
            };
            if !records.iter().all(|record| page.take(written(record))) {
                return Ok((page.into_things(), true));
            }
        }
        let newest = self.service.head().map_err(status_of)?.revision;
        Ok((page.into_things(), after < newest))
    }
}
