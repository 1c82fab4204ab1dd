//! Lets a call pass, or refuses it: who calls, and whether that is enough for the method.
//!
//! A proof that is sent is always looked at: a bad token is refused even where none is needed, so that
//! nobody takes themselves for somebody they are not. Where both are there, the token says who calls, and
//! the certificate only which service passed it on.
//!
//! Invariant: a call that gets past this one carries a [`Caller`] with a role for its method.

use super::caller::{Caller, Peer};
use super::door::Door;
use super::roles::Needs;
use super::status::{failed, refusal};
use crate::domain::Principal;
use crate::identity::Unproven;
use crate::telemetry::NotAdmitted;
use futures_util::future::{BoxFuture, Either, Ready, ready};
use http::{HeaderMap, Request, Response, header};
use std::convert::Infallible;
use std::task::{Context, Poll};
use std::time::Duration;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};

/// When to ask again where an issuer's keys could not be had.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Looks at each call before it reaches its service.
#[derive(Debug, Clone)]
pub(super) struct AccessLayer(pub(super) Door);

/// A service that only those may call who may.
#[derive(Debug, Clone)]
pub(super) struct AccessService<S> {
    inner: S,
    door: Door,
}

impl<S> Layer<S> for AccessLayer {
    type Service = AccessService<S>;

    fn layer(&self, inner: S) -> AccessService<S> {
        AccessService { inner, door: self.0.clone() }
    }
}

type Answered = Result<Response<Body>, Infallible>;

impl<S> Service<Request<Body>> for AccessService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<S::Future, Either<Ready<Answered>, BoxFuture<'static, Answered>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let refuse = |status: Status| Either::Right(Either::Left(ready(Ok(status.into_http()))));
        let Some(needs) = self.door.needed.by(request.uri().path()) else {
            return refuse(unknown());
        };
        let caller = match self.door.find(&request) {
            Ok(caller) => caller,
            Err(Unknown::Token(token)) => {
                let (mut inner, door) = (self.inner.clone(), self.door.clone());
                return Either::Right(Either::Right(Box::pin(async move {
                    let admitted = match door.gate.person(&token).await {
                        Ok(person) => door.admit(Some(Caller::Known(person)), needs, &request),
                        Err(why) => Err(door.unproven(why)),
                    };
                    match admitted {
                        Ok(caller) => {
                            request.extensions_mut().insert(caller);
                            inner.call(request).await
                        }
                        Err(status) => Ok(status.into_http()),
                    }
                })));
            }
            Err(Unknown::NoToken) => return refuse(self.door.unproven(Unproven::Malformed)),
        };
        match self.door.admit(caller, needs, &request) {
            Ok(caller) => {
                request.extensions_mut().insert(caller);
                Either::Left(self.inner.call(request))
            }
            Err(status) => refuse(status),
        }
    }
}

/// Who is not known at once.
enum Unknown {
    /// Whom this token is about has to be found out.
    Token(String),
    /// The header for one holds none.
    NoToken,
}

impl Door {
    /// Who calls, as far as that is known at once; `None` for somebody who proves nothing.
    fn find(&self, request: &Request<Body>) -> Result<Option<Caller>, Unknown> {
        if self.gate.takes_tokens()
            && let Some(token) = bearer(request.headers())?
        {
            let person = self.gate.person_at_once(token);
            return person.map(Caller::Known).map(Some).ok_or_else(|| Unknown::Token(token.into()));
        }
        let peer = request.extensions().get::<Peer>();
        // Asked anew for each call, so that whom the table has no more is nobody at once.
        let service = peer.and_then(|peer| self.gate.service(peer.service.as_deref()?));
        Ok(service.map(Caller::Known))
    }

    /// Whether that is enough for what is asked.
    fn admit(
        &self,
        caller: Option<Caller>,
        needs: Needs,
        request: &Request<Body>,
    ) -> Result<Caller, Status> {
        match caller {
            // What anybody may do, whoever is known may do as well.
            Some(Caller::Known(known)) if needs.allow(known.roles.with(self.gate.anonymous())) => {
                Ok(Caller::Known(known))
            }
            Some(Caller::Known(known)) => Err(self.not_authorised(&known, needs, request)),
            Some(Caller::Anybody) | None if needs.allow(self.gate.anonymous()) => {
                Ok(Caller::Anybody)
            }
            Some(Caller::Anybody) | None => {
                self.incidents.not_admitted(NotAdmitted::NoProof);
                let message = match self.gate.takes_tokens() {
                    true => {
                        "the caller is not known: send a bearer token, or a client certificate \
                             where the server takes them"
                    }
                    false => {
                        "the caller is not known: send a client certificate of the server's \
                              trust domain"
                    }
                };
                Err(unauthenticated(message))
            }
        }
    }

    fn not_authorised(&self, known: &Principal, needs: Needs, request: &Request<Body>) -> Status {
        self.incidents.not_admitted(NotAdmitted::Role);
        let (needed, method) = (needs.in_words(), request.uri().path().trim_start_matches('/'));
        tracing::info!(
            principal.issuer = %known.id.issuer,
            principal.subject = %known.id.subject,
            method,
            needed,
            "Refused a call of `{}`, who lacks the role for it",
            known.name
        );
        let message = format!("`{}` may not do this: it takes the role {needed}", known.name);
        let about = [("role", needed), ("method", method.to_owned())];
        failed(Code::PermissionDenied, "NOT_AUTHORISED", &message, about, None)
    }

    fn unproven(&self, why: Unproven) -> Status {
        let silent = why == Unproven::NoKeys;
        let counted = if silent { NotAdmitted::IssuerSilent } else { NotAdmitted::Token };
        self.incidents.not_admitted(counted);
        tracing::debug!(reason = %why, "Refused a token");
        if silent {
            let (message, about) = (why.to_string(), []);
            let retry = Some(RETRY_AFTER);
            return failed(Code::Unavailable, "IDENTITY_UNAVAILABLE", &message, about, retry);
        }
        unauthenticated(&why.to_string())
    }
}

/// The bearer token that a call carries, if it carries one.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Unknown> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().map_err(|_| Unknown::NoToken)?;
    let (scheme, token) = text.split_once(' ').ok_or(Unknown::NoToken)?;
    // Two of them: nobody could say which is meant.
    let one = values.next().is_none() && scheme.eq_ignore_ascii_case("bearer");
    let token = token.trim();
    if one && !token.is_empty() { Ok(Some(token)) } else { Err(Unknown::NoToken) }
}

fn unauthenticated(message: &str) -> Status {
    refusal(Code::Unauthenticated, "UNAUTHENTICATED", message)
}

fn unknown() -> Status {
    refusal(Code::Unimplemented, "UNIMPLEMENTED", "no such method is served here")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_carries_one_bearer_token_or_none_and_nothing_else_passes_for_one() {
        for (values, expected) in [
            (&[][..], Ok(None)),
            (&["Bearer abc"], Ok(Some("abc"))),
            (&["bearer  abc"], Ok(Some("abc"))),
            (&["Basic YTpi"], Err(())),
            (&["Bearer"], Err(())),
            (&["Bearer "], Err(())),
            (&["abc"], Err(())),
            (&["Bearer abc", "Bearer def"], Err(())),
            (&["Bearer abc", "Bearer abc"], Err(())),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, http::HeaderValue::from_static(value));
            }
            assert_eq!(bearer(&headers).map_err(|_| ()), expected, "{values:?}");
        }
    }
}
