//! Serves `CheckEligibility` from bytes to bytes.
//!
//! The generated server decodes every message into owned texts and maps. For the one call that every
//! page makes that costs more than the decision, so this one reads the usual check where it lies and
//! writes the answer once. An unusual one is decoded as everywhere else.

use super::api::Api;
use super::eligibility::{answer, evidence};
use super::status::invalid;
use crate::service::Answer;
use crate::wire::{hot, proto};
use bytes::{Buf, BufMut, Bytes};
use prost::Message;
use std::future::{Ready, ready};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{Grpc, UnaryService};
use tonic::{Request, Response, Status, body::Body};
use uuid::Uuid;

/// Room for the usual answer.
const USUAL_ANSWER: usize = 512;

/// Serves one call.
pub(super) async fn serve(
    api: Api,
    request: http::Request<Body>,
    most: usize,
) -> http::Response<Body> {
    let mut grpc = Grpc::new(Plain).max_decoding_message_size(most);
    grpc.unary(Check(api), request).await
}

struct Check(Api);

impl UnaryService<Bytes> for Check {
    type Response = Vec<u8>;
    type Future = Ready<Result<Response<Vec<u8>>, Status>>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        ready(self.check(request.get_ref()).map(Response::new))
    }
}

impl Check {
    fn check(&self, bytes: &[u8]) -> Result<Vec<u8>, Status> {
        let view = self.0.service.view();
        if let Some((asked, consistency)) = hot::read_check(bytes) {
            return Ok(write(&view.check(&asked, &consistency)));
        }
        // As tonic's own decoder says it.
        let message = proto::CheckEligibilityRequest::decode(bytes)
            .map_err(|error| Status::internal(error.to_string()))?;
        let answer = answer(&view, &message).map_err(|errors| invalid(&errors))?;
        Ok(write(&answer))
    }
}

fn write(answer: &Answer<'_>) -> Vec<u8> {
    let mut id = Uuid::encode_buffer();
    let mut bytes = Vec::with_capacity(USUAL_ANSWER);
    hot::write_answer(&answer.decision, &evidence(answer, &mut id), &mut bytes);
    bytes
}

/// Messages as they are.
#[derive(Debug, Clone, Copy)]
struct Plain;

impl Codec for Plain {
    type Encode = Vec<u8>;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Plain {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, given: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(given.copy_to_bytes(given.remaining())))
    }
}
