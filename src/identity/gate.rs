//! Says who calls, for each call and from memory.
//!
//! Not here: what a call needs. That is one table, `grpc/roles.rs`.

use super::files::{LOOK_EVERY, Reloaded, Unusable};
use super::issuer::Issuer;
use super::seen::{Seen, TokenHash, hash_of};
use super::table::{Quota, Table};
use super::token::{LONGEST, Unproven};
use crate::clock::Clock;
use crate::domain::{Principal, PrincipalKind, Roles};
use std::path::PathBuf;
use std::sync::Arc;

/// Which tokens prove who somebody is.
pub enum Tokens {
    /// None: nobody looks at them.
    None,
    /// Those of the demonstration's people.
    Demo(Vec<(String, Arc<Principal>)>),
    /// Those of an issuer.
    Issued(Arc<Issuer>),
}

/// What the table of principals says of a caller's quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The table has this service, with or without a quota of its own.
    Listed(Option<Quota>),
    /// It does not: a person, or nobody.
    Unlisted,
}

/// Knows who calls.
#[derive(Debug)]
pub struct Gate {
    anonymous: Roles,
    known: Known,
    table: Arc<Reloaded<Table>>,
}

enum Known {
    Nothing,
    Demo(Vec<(TokenHash, Arc<Principal>)>),
    Issued { issuer: Arc<Issuer>, seen: Seen, clock: Arc<dyn Clock> },
}

impl std::fmt::Debug for Known {
    /// Shows nothing: tokens stand behind it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Known(..)")
    }
}

impl Gate {
    /// Lets everybody do everything, and takes everybody for who they say they are.
    #[must_use]
    pub fn open() -> Self {
        let table = Arc::new(Reloaded::fixed(Table::default()));
        Self { anonymous: Roles::ALL, known: Known::Nothing, table }
    }

    /// A gate where people prove who they are by `tokens`, and whoever proves nothing may do `anonymous`.
    /// The table of principals is read from `principals`, and its services are those of `trust_domain`.
    ///
    /// # Errors
    /// For a table that cannot be used.
    pub fn new(
        anonymous: Roles,
        tokens: Tokens,
        principals: Option<PathBuf>,
        trust_domain: &str,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Unusable> {
        let known = match tokens {
            Tokens::None => Known::Nothing,
            Tokens::Demo(people) => Known::Demo(
                people.into_iter().map(|(token, person)| (hash_of(&token), person)).collect(),
            ),
            Tokens::Issued(issuer) => Known::Issued { issuer, seen: Seen::default(), clock },
        };
        let table = match principals {
            None => Reloaded::fixed(Table::default()),
            Some(path) => {
                let domain = trust_domain.to_owned();
                Reloaded::open("the table of principals", vec![path], move |contents| {
                    let [content] = contents else { return Ok(Table::default()) };
                    Table::read(content.text()?, &domain)
                        .map_err(|what| Unusable::new(&content.path, what))
                })?
            }
        };
        Ok(Self { anonymous, known, table: Arc::new(table) })
    }

    /// What somebody may do who proves nothing.
    #[must_use]
    pub fn anonymous(&self) -> Roles {
        self.anonymous
    }

    /// Whether tokens prove anything here.
    #[must_use]
    pub fn takes_tokens(&self) -> bool {
        !matches!(self.known, Known::Nothing)
    }

    /// The service with this path in its certificate, if the table has it.
    #[must_use]
    pub fn service(&self, path: &str) -> Option<Arc<Principal>> {
        self.table.get().service(path).cloned()
    }

    /// What the table says of this caller's quota.
    #[must_use]
    pub fn standing(&self, caller: &Principal) -> Standing {
        let table = self.table.get();
        match caller.kind {
            PrincipalKind::Service if table.service(&caller.id.subject).is_some() => {
                Standing::Listed(table.quota(&caller.id.subject))
            }
            PrincipalKind::Service | PrincipalKind::Person => Standing::Unlisted,
        }
    }

    /// Whether the table gives anybody a quota.
    #[must_use]
    pub fn has_quotas(&self) -> bool {
        self.table.get().has_quotas()
    }

    /// Reads the table again now, if its file has changed; says in the log what came of it. Whether it was
    /// taken.
    pub fn refresh(&self) -> bool {
        self.table.refresh()
    }

    /// The person whom a token was verified to be about a moment ago, if that still holds.
    #[must_use]
    pub fn person_at_once(&self, token: &str) -> Option<Arc<Principal>> {
        match &self.known {
            Known::Nothing => None,
            Known::Demo(people) => find(people, &hash_of(token)),
            Known::Issued { seen, clock, .. } => {
                let known = seen.find(&hash_of(token), clock.wall())?;
                Some(self.with_extra_roles(known))
            }
        }
    }

    /// The person whom a token is about. Waits only where the issuer's keys have to be fetched.
    ///
    /// # Errors
    /// Why the token proves nothing.
    pub async fn person(&self, token: &str) -> Result<Arc<Principal>, Unproven> {
        if LONGEST < token.len() {
            return Err(Unproven::TooLong);
        }
        match &self.known {
            Known::Nothing => Err(Unproven::NotOurs),
            Known::Demo(people) => find(people, &hash_of(token)).ok_or(Unproven::NotOurs),
            Known::Issued { issuer, seen, clock } => {
                let proven = issuer.verify(token).await?;
                let person = seen.keep(hash_of(token), proven, clock.wall());
                Ok(self.with_extra_roles(person))
            }
        }
    }

    fn with_extra_roles(&self, person: Arc<Principal>) -> Arc<Principal> {
        let extra = self.table.get().extra(&person.id);
        match extra == Roles::NONE {
            true => person,
            false => {
                let roles = person.roles.with(extra);
                Arc::new(Principal { roles, ..Principal::clone(&person) })
            }
        }
    }

    /// Reads the table anew when its file changes, and keeps the issuer's keys up to date. Never ends.
    pub async fn follow(&self) {
        let issuer = async {
            match &self.known {
                Known::Issued { issuer, .. } => issuer.follow().await,
                Known::Nothing | Known::Demo(_) => std::future::pending().await,
            }
        };
        let table = async {
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                let table = Arc::clone(&self.table);
                let _ = tokio::task::spawn_blocking(move || table.refresh()).await;
            }
        };
        tokio::join!(issuer, table);
    }
}

/// Hashes are compared, so that how long it takes says nothing about a token.
fn find(people: &[(TokenHash, Arc<Principal>)], token: &TokenHash) -> Option<Arc<Principal>> {
    let found = people.iter().find(|(known, _)| known == token);
    found.map(|(_, person)| Arc::clone(person))
}
