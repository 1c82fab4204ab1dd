//! Serves `CheckEligibility` from bytes to bytes.
//!
//! The generated server decodes every message into owned texts and maps. For the one call that every
//! page makes that costs more than the decision, so this one reads the usual check where it lies and
//! writes the answer once. An unusual one is decoded as everywhere else.

use super::api::Api;
use super::caller::Caller;
use super::eligibility::{both, evidence};
use super::status::{invalid, log_full};
use crate::domain::{CheckRequest, Consistency};
use crate::service::{Answer, View};
use crate::wire::{check_request, hot, proto, request};
use bytes::{Buf, BufMut, Bytes};
use futures_util::future::{BoxFuture, Either, Ready, ready};
use prost::Message;
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
    type Future = Either<Ready<Answered>, BoxFuture<'static, Answered>>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        match self.check(request.get_ref(), &Caller::of(request.extensions())) {
            Ok(Some(bytes)) => Either::Left(ready(Ok(Response::new(bytes)))),
            Err(status) => Either::Left(ready(Err(status))),
            Ok(None) => {
                let caller = Caller::of(request.extensions());
                let (api, bytes) = (self.0.clone(), request.into_inner());
                Either::Right(Box::pin(async move { ask_and_check(&api, &bytes, &caller).await }))
            }
        }
    }
}

type Answered = Result<Response<Vec<u8>>, Status>;

impl Check {
    /// Answers at once; `None` if the store has to be asked first.
    fn check(&self, bytes: &[u8], caller: &Caller) -> Result<Option<Vec<u8>>, Status> {
        let decide = |view: View<'_>, asked: &CheckRequest<'_>, consistency: &Consistency| {
            let answer = view.check(asked, consistency, caller.name());
            answer.map(|answer| write(&answer)).map_err(log_full)
        };
        let service = &self.0.service;
        if let Some((asked, consistency)) = hot::read_check(bytes) {
            let view = service.view_at_once(&consistency);
            return view.map(|view| decide(view, &asked, &consistency)).transpose();
        }
        let message = decode(bytes)?;
        let (asked, consistency) = read(&message)?;
        let view = service.view_at_once(&consistency);
        view.map(|view| decide(view, &asked, &consistency)).transpose()
    }
}

/// Answers a check whose caller wants more than what this replica knows by itself.
async fn ask_and_check(api: &Api, bytes: &[u8], caller: &Caller) -> Answered {
    let message = decode(bytes)?;
    let (asked, consistency) = read(&message)?;
    let view = api.service.view_for(&consistency).await;
    let answer = view.check(&asked, &consistency, caller.name()).map_err(log_full)?;
    Ok(Response::new(write(&answer)))
}

fn decode(bytes: &[u8]) -> Result<proto::CheckEligibilityRequest, Status> {
    // As tonic's own decoder says it.
    proto::CheckEligibilityRequest::decode(bytes)
        .map_err(|error| Status::internal(error.to_string()))
}

fn read(
    message: &proto::CheckEligibilityRequest,
) -> Result<(CheckRequest<'_>, Consistency), Status> {
    both(check_request(message), request::consistency(message.consistency.as_ref()))
        .map_err(|errors| invalid(&errors))
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
