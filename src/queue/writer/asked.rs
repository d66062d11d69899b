//! Requests of people and of other parts of the agent, as the queue thread serves them.

use super::Writer;
use crate::message::Record;
use crate::queue::admin::answer::{Answer, carry_out};
use crate::queue::admin::{Command, control};
use crate::queue::board::person::Standing;
use crate::queue::change::Change;
use crate::queue::database::upstream;
use crate::queue::push::{Upstream, UpstreamRow};
use crate::queue::request::Request;
use crate::queue::shared::Shared;
use crate::system::threads::lock;
use crossbeam_channel::{Sender, bounded, select};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Most deliveries of a sink that are counted.
const COUNTED: i64 = 10_000;

impl Writer {
    /// Listens for `ilagent queue`, which waits its turn like everything else.
    pub(super) fn listen(&mut self) {
        let requests = self.shared.requests.clone();
        let Shared { reporter, tail, .. } = &*self.shared;
        self.control = control::listen(
            &self.settings.path,
            reporter,
            tail,
            move |command, stop| {
                let (tell, told) = bounded(1);
                select! {
                    send(requests, Request::Admin(command, tell)) -> sent => sent.ok().map(|()| told),
                    recv(stop.receiver()) -> _ => None,
                }
            },
        );
    }

    /// Listens again if the socket is gone with its folder.
    pub(super) fn listen_again(&mut self) {
        if !self.control.as_ref().is_some_and(control::Socket::is_there) {
            if let Some(control) = self.control.take() {
                control.close();
            }
            self.listen();
        }
    }

    pub(super) fn admin(&mut self, command: &Command, answer: Sender<Result<String, String>>) {
        match self.answer(command) {
            Ok(Answer::Work(work)) => self.sweeps.push_back((work, answer)),
            // Nobody may be waiting for the answer any more.
            Ok(Answer::Text(text)) => drop(answer.send(Ok(text))),
            Err(what) => drop(answer.send(Err(what))),
        }
    }

    pub(super) fn answer(&mut self, command: &Command) -> Result<Answer, String> {
        // What was settled before the question is part of the answer.
        self.commit()?;
        let database = self.database.as_ref().ok_or("nothing was ever stored")?;
        if self.failures > 0 && command.changes_something() {
            return Err("the database cannot be written at the moment, so nothing was changed; \
                        /ready says why"
                .to_owned());
        }
        let answer = carry_out(&database.store, &self.shared.board, command);
        self.shared.act(lock(&self.shared.board));
        answer
    }

    /// Takes up the next piece of what a person asked for. It shares the next commit with whatever
    /// is pushed meanwhile, so nobody waits for one of its own.
    pub(super) fn begin_piece(&mut self) {
        let Some((work, _)) = self.sweeps.front_mut() else { return };
        let Some(database) = &self.database else { return };
        let before = self.changes.len();
        self.piece = Some(work.piece(&database.store, &self.shared.board, &mut self.changes));
        let arriving: u64 = self.changes[before..].iter().map(Change::bytes_arriving).sum();
        self.shared.on_the_way.fetch_add(usize::try_from(arriving).unwrap_or(0), Ordering::AcqRel);
    }

    /// That piece is committed; answers when it was the last.
    pub(super) fn end_piece(&mut self) {
        let Some(more) = self.piece.take() else { return };
        let Some((work, answer)) = self.sweeps.pop_front() else { return };
        self.shared.act(lock(&self.shared.board));
        let said = match more {
            Err(error) => Err(format!("{error}; {}", work.text())),
            Ok(_) if self.failures > 0 && work.changes_something() => Ok(format!(
                "{}the rest was left alone, and this is kept as soon as the database can be \
                 written again\n",
                work.text()
            )),
            Ok(false) => Ok(work.text()),
            Ok(true) => return self.sweeps.push_back((work, answer)),
        };
        // Nobody may be waiting for the answer any more.
        let _ = answer.send(said);
    }

    /// Names sinks that are no longer configured, whose deliveries would wait without a word.
    pub(super) fn name_unclaimed(&self) {
        let Some(database) = &self.database else { return };
        let standings = lock(&self.shared.board).standings(Instant::now());
        let mut waiting = Vec::new();
        for Standing { name, .. } in standings.into_iter().filter(|sink| !sink.claims) {
            match database.store.count_of(&name, COUNTED) {
                Ok(0) => {}
                Ok(COUNTED) => waiting.push(format!("{COUNTED} or more for `{name}`")),
                Ok(count) => waiting.push(format!("{count} for `{name}`")),
                Err(error) => log::debug!("queue: what waits for {name}: {error}"),
            }
        }
        if !waiting.is_empty() {
            log::warn!(
                "queue: deliveries wait for a sink that is not configured: {}; configure it again, \
                 or delete them with `ilagent queue drop --sink NAME`",
                waiting.join(", ")
            );
        }
    }

    pub(super) fn upstream(&mut self, table: Upstream, answer: &Sender<Vec<UpstreamRow>>) {
        // Rows that are about to be deleted must not be handed in again.
        let written = self.commit().is_ok() && self.changes.is_empty();
        let open = self.database.as_ref().filter(|_| written);
        let rows = open.map(|open| upstream::rows(&open.store, table));
        let _ = answer.send(rows.unwrap_or_default());
    }

    /// What is remembered, written or not yet.
    pub(super) fn record(&self, scope: &str, key: &str) -> Option<String> {
        let mut newest = self.changes.iter().rev().filter_map(Change::record);
        let newer = newest.find(|record| (&*record.scope, &*record.key) == (scope, key));
        newer.map(|record| record.value.clone()).unwrap_or_else(|| {
            let read = self.database.as_ref()?.store.record(scope, key);
            read.unwrap_or_else(|error| {
                log::error!("queue: what is remembered of {scope} cannot be read: {error}");
                None
            })
        })
    }

    /// All that is remembered in a scope, written or not yet.
    pub(super) fn records(&self, scope: &str) -> Vec<(String, String)> {
        let read = self.database.as_ref().map(|database| database.store.records(scope));
        let mut records = read.unwrap_or_else(|| Ok(BTreeMap::new())).unwrap_or_else(|error| {
            log::error!("queue: what is remembered of {scope} cannot be read: {error}");
            BTreeMap::new()
        });
        let newer = self.changes.iter().filter_map(Change::record);
        for record in newer.filter(|record| record.scope == scope) {
            match &record.value {
                Some(value) => records.insert(record.key.clone(), value.clone()),
                None => records.remove(&record.key),
            };
        }
        records.into_iter().collect()
    }

    /// A value takes the place of an older one that could not be written yet.
    pub(super) fn remember(&mut self, record: Record) {
        let is_same = |it: &Record| (&it.scope, &it.key) == (&record.scope, &record.key);
        self.changes.retain(|change| !matches!(change, Change::Remember(older) if is_same(older)));
        // What no database holds needs none to be forgotten.
        if self.database.is_some() || record.value.is_some() && !self.forgetful {
            self.changes.push(Change::Remember(record));
        }
    }
}
