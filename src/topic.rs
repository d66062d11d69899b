//! MQTT topics and topic filters (MQTT 3.1.1 and 5, section 4.7). Pure.
