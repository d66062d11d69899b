//! Publishing, with the queue in front of it: against a broker that follows a script, and against
//! the mosquitto that is installed.

#![allow(clippy::unwrap_used, reason = "a broken test may panic")]

mod support;

use ilagent::config::{Qos, Version};
use ilagent::queue::Storing;
use support::broker::Broker;
use support::publishing::Publishing;
use support::session::broker;
use support::subscriber::Subscriber;

const QUALITIES: [Qos; 3] = [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce];

#[test]
fn every_quality_arrives_in_order_in_both_versions() {
    for version in [Version::V311, Version::V5] {
        for storing in [Storing::IfRefused, Storing::AtOnce] {
            let mosquitto = Broker::with("persistence false\nset_tcp_nodelay true\n");
            let subscriber = Subscriber::new(mosquitto.port(), "#");
            let settings = config(&mosquitto, version);
            let mut publishing = Publishing::with(&settings);
            for number in 0..60 {
                let qos = QUALITIES[number % 3];
                publishing.push("a/b", qos, number == 58, &number.to_string(), storing);
            }
            let received = subscriber.wait_for(60);
            let texts: Vec<String> = received.iter().map(|one| one.text()).collect();
            let wanted: Vec<String> = (0..60).map(|number| number.to_string()).collect();
            assert_eq!(texts, wanted);
            assert!(received.iter().enumerate().all(|(at, one)| usize::from(one.qos) == at % 3));
            publishing.wait_until_all_are_signed();
            assert_eq!(publishing.sink().delivered, 60);
            let late = Subscriber::new(mosquitto.port(), "#");
            let kept = late.wait_for(1);
            assert_eq!((kept[0].text().as_str(), kept[0].retain), ("58", true));
        }
    }
}

fn config(mosquitto: &Broker, version: Version) -> ilagent::config::Broker {
    ilagent::config::Broker { version, ..broker(mosquitto.port()) }
}
