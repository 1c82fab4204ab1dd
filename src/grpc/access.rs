//! Lets a call pass, or refuses it: who calls, and whether that is enough for the method.
//!
//! A proof that is sent is always looked at: a bad token is refused even where none is needed, so that
//! nobody takes themselves for somebody they are not. Where both are there, the token says who calls, and
//! the certificate only which service passed it on.
//!
//! Invariant: a call that gets past this one carries a [`Caller`] with a role for its method.

use super::caller::{Caller, Peer};
use super::door::Door;
use super::lasting::{Again, Lasting};
use super::roles::Needs;
use super::status::{failed, refusal};
use crate::domain::Principal;
use crate::identity::Unproven;
use crate::service::Service as UseCases;
use crate::telemetry::NotAdmitted;
use futures_util::future::{BoxFuture, Either, Ready, ready};
use http::{HeaderMap, Request, Response, header};
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};

/// The reason of a refusal for want of a role; people rely on it.
const NOT_AUTHORISED: &str = "NOT_AUTHORISED";

/// When to ask again where an issuer's keys could not be had.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Looks at each call before it reaches its service.
#[derive(Debug, Clone)]
pub(super) struct AccessLayer {
    pub(super) door: Door,
    /// Writes down who was refused a change.
    pub(super) log: Arc<UseCases>,
}

/// A service that only those may call who may.
#[derive(Debug, Clone)]
pub(super) struct AccessService<S> {
    inner: S,
    access: AccessLayer,
}

impl<S> Layer<S> for AccessLayer {
    type Service = AccessService<S>;

    fn layer(&self, inner: S) -> AccessService<S> {
        AccessService { inner, access: self.clone() }
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
        let access = &self.access;
        let Some(needs) = access.door.needed.by(request.uri().path()) else {
            return refuse(unknown());
        };
        let admitted = match access.door.find(&request) {
            Ok(caller) => access.admit(caller, Asked::of(&request, needs)),
            Err(Unknown::Token(token)) => {
                let (inner, access) = (self.inner.clone(), self.access.clone());
                return Either::Right(Either::Right(Box::pin(async move {
                    let admitted = match access.door.gate.person(&token).await {
                        Ok(person) => {
                            access.admit(Some(Caller::Known(person)), Asked::of(&request, needs))
                        }
                        Err(why) => Err(access.door.unproven(why)),
                    };
                    match admitted {
                        Ok(caller) => {
                            let asked = Asked::of(&request, needs);
                            let again = Again::of(&access, &request, &caller, asked);
                            pass(inner, request, caller, again).await
                        }
                        Err(status) => Ok(status.into_http()),
                    }
                })));
            }
            Err(Unknown::NoToken) => Err(access.door.unproven(Unproven::Malformed)),
        };
        let caller = match admitted {
            Ok(caller) => caller,
            Err(status) => return refuse(status),
        };
        match Again::of(access, &request, &caller, Asked::of(&request, needs)) {
            None => {
                request.extensions_mut().insert(caller);
                Either::Left(self.inner.call(request))
            }
            again => {
                let inner = self.inner.clone();
                Either::Right(Either::Right(Box::pin(pass(inner, request, caller, again))))
            }
        }
    }
}

/// Hands a call on, and looks at its caller again where it lasts.
async fn pass<S>(
    mut inner: S,
    mut request: Request<Body>,
    caller: Caller,
    again: Option<Again>,
) -> Answered
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    request.extensions_mut().insert(caller);
    let response = inner.call(request).await?;
    Ok(match again {
        Some(again) => response.map(|body| Body::new(Lasting::new(body, again))),
        None => response,
    })
}

/// What is asked for, and from where.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) needs: Needs,
    pub(super) path: &'a str,
    pub(super) address: Option<IpAddr>,
}

impl<'a> Asked<'a> {
    fn of(request: &'a Request<Body>, needs: Needs) -> Self {
        let address = request.extensions().get::<Peer>().and_then(|peer| peer.address);
        Self { needs, path: request.uri().path(), address: address.map(|address| address.ip()) }
    }
}

/// Who is not known at once.
enum Unknown {
    /// Whom this token is about has to be found out.
    Token(String),
    /// The header for one holds none.
    NoToken,
}

impl AccessLayer {
    /// Whether that is enough for what is asked.
    pub(super) fn admit(&self, caller: Option<Caller>, asked: Asked<'_>) -> Result<Caller, Status> {
        let needs = asked.needs;
        match caller {
            // What anybody may do, whoever is known may do as well.
            Some(Caller::Known(known))
                if needs.allow(known.roles.with(self.door.gate.anonymous())) =>
            {
                Ok(Caller::Known(known))
            }
            Some(Caller::Known(known)) => Err(self.not_authorised(&known, asked)),
            Some(Caller::Anybody) | None if needs.allow(self.door.gate.anonymous()) => {
                Ok(Caller::Anybody)
            }
            Some(Caller::Anybody) | None => {
                self.door.incidents.not_admitted(NotAdmitted::NoProof);
                let message = match self.door.gate.takes_tokens() {
                    true => "the caller is not known: send a bearer token, or a client certificate",
                    false => "the caller is not known: send a client certificate",
                };
                Err(unauthenticated(message))
            }
        }
    }

    fn not_authorised(&self, known: &Principal, asked: Asked<'_>) -> Status {
        self.door.incidents.not_admitted(NotAdmitted::Role);
        let (needed, method) = (asked.needs.in_words(), asked.path.trim_start_matches('/'));
        tracing::info!(
            principal.issuer = %known.id.issuer,
            principal.subject = %known.id.subject,
            method,
            needed,
            "Refused a call of `{}`, who lacks the role for it",
            known.name
        );
        if asked.needs.are_for_changes() {
            self.log.refused(known, asked.address, method.to_owned(), NOT_AUTHORISED);
        }
        let message = format!("`{}` may not do this: it takes the role {needed}", known.name);
        let about = [("role", needed), ("method", method.to_owned())];
        failed(Code::PermissionDenied, NOT_AUTHORISED, &message, about, None)
    }
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

    /// The token that proves who calls, where tokens prove anything.
    pub(super) fn token_of<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        let token = || bearer(headers).ok().flatten();
        self.gate.takes_tokens().then(token).flatten()
    }

    pub(super) fn unproven(&self, why: Unproven) -> Status {
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
