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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{App, Confirm, Policy, Raw, Route, Scopes};
    use std::collections::BTreeMap;

    fn dapr(in_flight_max: usize) -> Dapr {
        let app = App {
            host: "127.0.0.1".to_owned(),
            port: 6001,
            tls: false,
            token: None,
            in_flight_max,
            is_asked_config: true,
            is_asked_subscriptions: true,
            health: None,
        };
        let component = PubSub {
            name: "plantbus".to_owned(),
            kind: "pubsub.mqtt".to_owned(),
            version: "v1".to_owned(),
            broker: "plant".to_owned(),
            qos: Qos::ExactlyOnce,
            retain: true,
            prefix: "default".to_owned(),
            scopes: Scopes::default(),
            confirm: Confirm::Stored,
            inbound: Policy::default(),
            outbound: Policy::default(),
        };
        Dapr {
            app_id: "press7".to_owned(),
            namespace: "default".to_owned(),
            head_bytes_max: 4096,
            app: Some(app),
            components: vec![component],
            others: Vec::new(),
            subscriptions: Vec::new(),
        }
    }

    fn subscription(topic: &str, matches: &[Option<&str>], default: Option<&str>) -> Subscription {
        let route = |matches: &Option<&str>| Route {
            matches: matches.map(str::to_owned),
            path: "/rule".to_owned(),
        };
        Subscription {
            pubsub: "plantbus".to_owned(),
            topic: topic.to_owned(),
            rules: matches.iter().map(route).collect(),
            default: default.map(str::to_owned),
            dead_letter_topic: None,
            raw: Raw::No,
            bulk: None,
            metadata: BTreeMap::new(),
            is_declared: true,
        }
    }

    #[test]
    fn the_prefix_stands_in_front_of_the_topic_and_behind_the_group() {
        for (in_flight_max, topic, filter) in
            [(1, "a/#", "defaulta/#"), (24, "$share/g/a/#", "$share/g/defaulta/#")]
        {
            let dapr = dapr(in_flight_max);
            let given = subscription(topic, &[None], None);
            let rule = AppRule::rule(&dapr, &dapr.components[0], &given).unwrap();
            assert_eq!((rule.filter.as_str(), rule.qos), (filter, Qos::ExactlyOnce));
            let Target::App(to) = rule.to else { panic!("another target") };
            assert_eq!((&*to.sink, &*to.publisher), ("app press7", "mqtt plant"));
            assert_eq!(to.one_at_a_time, in_flight_max == 1);
        }
    }

    #[test]
    fn the_default_is_the_last_route_and_a_wrong_expression_has_a_place() {
        let dapr = dapr(24);
        let rule = |matches: &[Option<&str>]| {
            let given = subscription("a", matches, Some("/default"));
            AppRule::rule(&dapr, &dapr.components[0], &given)
        };
        let Target::App(to) = rule(&[Some("event.n == 1")]).unwrap().to else { panic!() };
        let paths: Vec<&str> = to.routes.iter().map(|route| route.path.as_str()).collect();
        assert_eq!(paths, ["/rule", "/default"]);
        let (place, fault) = rule(&[None, Some("event.n = 1")]).unwrap_err();
        assert_eq!((place, fault.column), (1, 9));
    }
}
