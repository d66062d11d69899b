//! What becomes of messages that an application subscribes to through a Dapr sidecar.

use super::{Dapr, PubSub, PublishRule, Qos, Rule, Subscription, Target};
use crate::cel;
use crate::topic;

/// How a message becomes a delivery to the application.
#[derive(Clone, Debug, PartialEq)]
pub struct AppRule {
    /// The name of the sink.
    pub sink: String,
    /// The name of the sink that publishes to the component's broker.
    pub publisher: String,
    /// The name of the component.
    pub component: String,
    /// What stands in front of every topic at the broker.
    pub prefix: String,
    /// How copies go to the dead-letter topic.
    pub qos: Qos,
    /// Whether the broker keeps such copies.
    pub retain: bool,
    /// One delivery follows the other, whatever its topic.
    pub one_at_a_time: bool,
    /// What was asked for.
    pub subscription: Subscription,
    /// Its routes, in the order in which they are tried.
    pub routes: Vec<AppRoute>,
}

/// Where an event goes if it is what is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct AppRoute {
    /// What it has to be; `None` is true of all.
    pub matches: Option<cel::Expression>,
    /// The path at the application.
    pub path: String,
}

impl AppRule {
    /// The rule for what a broker sends to a subscription.
    ///
    /// # Errors
    ///
    /// Says which expression is wrong, by its place among the rules from 0, and what in it.
    pub fn rule(
        dapr: &Dapr,
        component: &PubSub,
        subscription: &Subscription,
    ) -> Result<Rule, (usize, cel::Fault)> {
        let mut routes = Vec::new();
        for (place, rule) in subscription.rules.iter().enumerate() {
            let matches = rule.matches.as_deref().map(cel::Expression::parse).transpose();
            let matches = matches.map_err(|fault| (place, fault))?;
            routes.push(AppRoute { matches, path: rule.path.clone() });
        }
        let path = subscription.default.iter().cloned();
        routes.extend(path.map(|path| AppRoute { matches: None, path }));
        let filter = topic::unshared(&subscription.topic);
        let group = subscription.topic.strip_suffix(filter).unwrap_or_default();
        Ok(Rule {
            filter: format!("{group}{}{filter}", component.prefix),
            qos: component.qos,
            to: Target::App(Box::new(AppRule {
                sink: dapr.sink_name(),
                publisher: PublishRule::sink_name(&component.broker),
                component: component.name.clone(),
                prefix: component.prefix.clone(),
                qos: component.qos,
                retain: component.retain,
                one_at_a_time: dapr.app.as_ref().is_some_and(|app| app.in_flight_max == 1),
                subscription: subscription.clone(),
                routes,
            })),
        })
    }
}
