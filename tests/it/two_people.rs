//! Changes as two people make them over gRPC: one proposes, another one approves.

use offergate::client::{Client, ClientError};
use offergate::wire::proto;

/// Who approves whatever a test asks for.
pub(crate) const APPROVER: &str = "zoe";

/// The name of the attempt to propose what is approved under another one.
pub(crate) fn proposing(request_id: &str) -> String {
    match request_id {
        "" => String::new(),
        request_id => format!("{request_id}.proposed"),
    }
}

/// Approves what waits, as it was read.
pub(crate) async fn approve(
    client: &Client,
    proposal: &proto::ProposedChange,
    request_id: &str,
) -> Result<proto::Revision, ClientError> {
    let request = proto::ApproveChangeRequest {
        id: proposal.id,
        digest: proposal.digest.clone(),
        request_id: request_id.to_owned(),
        author: APPROVER.to_owned(),
    };
    Ok(client.approve_change(request).await?.revision.unwrap())
}

/// Calls of one person, each followed by another one's approval. They answer as the call does, but for
/// the revision, which is that in which the change is in force, and the suspension as it then is. The
/// request's id is that of the approval: what people wait for.
pub(crate) trait TwoPeople {
    async fn create_suspension_by_two(
        &self,
        request: proto::CreateSuspensionRequest,
    ) -> Result<proto::CreateSuspensionResponse, ClientError>;

    async fn amend_suspension_by_two(
        &self,
        request: proto::AmendSuspensionRequest,
    ) -> Result<proto::AmendSuspensionResponse, ClientError>;

    async fn lift_suspension_by_two(
        &self,
        request: proto::LiftSuspensionRequest,
    ) -> Result<proto::LiftSuspensionResponse, ClientError>;

    async fn create_exemption_by_two(
        &self,
        request: proto::CreateExemptionRequest,
    ) -> Result<proto::CreateExemptionResponse, ClientError>;

    async fn apply_rules_by_two(
        &self,
        request: proto::ApplyRulesRequest,
    ) -> Result<proto::ApplyRulesResponse, ClientError>;
}

/// One such call of a suspension.
macro_rules! of_suspension {
    ($client:ident, $call:ident, $request:ident) => {{
        let mut request = $request;
        let request_id = request.request_id.clone();
        request.request_id = proposing(&request_id);
        let mut response = $client.$call(request).await?;
        if let Some(proposal) = &response.proposal {
            response.revision = Some(approve($client, proposal, &request_id).await?);
            let id = response.suspension.unwrap().id;
            let read = $client.get_suspension(proto::GetSuspensionRequest { id }).await?;
            response.suspension = read.suspension;
        }
        Ok(response)
    }};
}

impl TwoPeople for Client {
    async fn create_suspension_by_two(
        &self,
        request: proto::CreateSuspensionRequest,
    ) -> Result<proto::CreateSuspensionResponse, ClientError> {
        of_suspension!(self, create_suspension, request)
    }

    async fn amend_suspension_by_two(
        &self,
        request: proto::AmendSuspensionRequest,
    ) -> Result<proto::AmendSuspensionResponse, ClientError> {
        of_suspension!(self, amend_suspension, request)
    }

    async fn lift_suspension_by_two(
        &self,
        request: proto::LiftSuspensionRequest,
    ) -> Result<proto::LiftSuspensionResponse, ClientError> {
        of_suspension!(self, lift_suspension, request)
    }

    async fn create_exemption_by_two(
        &self,
        mut request: proto::CreateExemptionRequest,
    ) -> Result<proto::CreateExemptionResponse, ClientError> {
        let request_id = request.request_id.clone();
        request.request_id = proposing(&request_id);
        let mut response = self.create_exemption(request).await?;
        if let Some(proposal) = &response.proposal {
            response.revision = Some(approve(self, proposal, &request_id).await?);
        }
        Ok(response)
    }

    async fn apply_rules_by_two(
        &self,
        mut request: proto::ApplyRulesRequest,
    ) -> Result<proto::ApplyRulesResponse, ClientError> {
        let request_id = request.request_id.clone();
        request.request_id = proposing(&request_id);
        let mut response = self.apply_rules(request).await?;
        if let Some(proposal) = &response.proposal {
            response.revision = Some(approve(self, proposal, &request_id).await?);
        }
        Ok(response)
    }
}
