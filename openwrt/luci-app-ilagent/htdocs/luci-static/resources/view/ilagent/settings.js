'use strict';
'require form';
'require uci';
'require view';
'require ilagent.logic as logic';

/* One line for each field: [ name, title, what it means, settings ]. */
const MAIN = [
	[ 'enabled', _('Enabled'), _('Start the agent'), { widget: form.Flag } ],
	[ 'log_level', _('Log level'), _('info logs one line for each message'),
		{ values: [ 'error', 'warn', 'info', 'debug' ], placeholder: 'warn' } ],
	[ 'interface', _('Reconnect with'), _('When one of these interfaces comes up, the agent connects and delivers at once'),
		{ widget: form.DynamicList, placeholder: 'wan' } ],
	[ 'config_file', _('Own file'), _('A configuration file of your own (TOML or JSON) instead of these settings; the agent reads a copy of it'),
		{ placeholder: '/etc/ilagent/ilagent.toml' } ]
];

const QUEUE = [
	[ 'storage', _('Storage'),
		_('ram: a power cut loses what waits. flash: survives it, and writes 1 to 10 KB for each message that has to wait. Or a folder, for example on a USB stick.'),
		{ check: 'checkStorage', choices: [ 'ram', 'flash' ], placeholder: 'ram' } ],
	[ 'limit', _('Limit'), _('Beyond this, brokers and HTTP clients have to wait'),
		{ check: 'checkSize', placeholder: '256 MB' } ],
	[ 'sync', _('Safety'), _('full survives a power cut; normal survives a crash of the agent, and spares flash'),
		{ values: [ 'full', 'normal' ], placeholder: 'full' } ],
	[ 'hold', _('Hold'), _('A buffered message that is delivered sooner is never written'),
		{ check: 'checkMoment', placeholder: '50 ms' } ],
	[ 'dead_letters', _('Dead letters'), _('Beyond this, messages that are no events are removed first, then the oldest'),
		{ datatype: 'uinteger', placeholder: '1000' } ],
	[ 'max_age', _('Maximum age'), _('The agent is not ready once the oldest delivery is older'),
		{ check: 'checkTime', placeholder: '10 min' } ]
];

const ILERT = [
	[ 'heartbeat_key', _('Heartbeat key'), _('Pinged every 30 s while the agent is healthy'), { secret: true } ],
	[ 'api_key', _('API key'), _('For policy updates only'), { secret: true } ],
	[ 'max_retries', _('Attempts'), _('Before a delivery becomes a dead letter; 0 never gives up'),
		{ datatype: 'uinteger', placeholder: '100' } ],
	[ 'in_flight', _('In flight'), _('Maximum number of requests at a time'),
		{ datatype: 'range(1,256)', placeholder: '24' } ],
	[ 'timeout', _('Timeout'), _('Maximum time for one request'), { check: 'checkTime', placeholder: '25 s' } ],
	[ 'api_host', _('API'), _('Another API'), { placeholder: 'https://api.ilert.com' } ],
	[ 'heartbeat_host', _('Heartbeat API'), _('Another API for heartbeats'),
		{ placeholder: 'https://beat.ilert.com' } ]
];

const JOURNAL = [
	[ 'enabled', _('Enabled'), null, { widget: form.Flag, initial: '1' } ],
	[ 'path', _('File'), _('Its folder is made if it is not there. Files below /var are in memory.'),
		{ check: 'checkPath', placeholder: '/var/log/ilagent/sent', required: true } ],
	[ 'rotate_at', _('Size'), _('At this size it becomes an older file, and a new one is begun'),
		{ check: 'checkSize', placeholder: '1 MB' } ],
	[ 'keep', _('Older files'), _('How many are kept'), { datatype: 'range(0,99)', placeholder: '1' } ]
];

const HTTP = [
	[ 'enabled', _('Enabled'), _('Listen for events over HTTP; the status page needs this, too'),
		{ widget: form.Flag, initial: '1' } ],
	[ 'port', _('Port'), _('Port to listen on'), { datatype: 'port', placeholder: '8977', required: true } ],
	[ 'bind', _('Address'), _('127.0.0.1 is for this router only'),
		{ datatype: 'ipaddr("nomask")', placeholder: '0.0.0.0' } ],
	[ 'token', _('Token'), _('Clients must send it'), { secret: true } ],
	[ 'body_limit', _('Body limit'), _('Maximum size of a request body'), { check: 'checkSize', placeholder: '64 KB' } ],
	[ 'connections', _('Connections'), _('Maximum number at a time'), { datatype: 'range(1,1024)', placeholder: '64' } ]
];

const ENRICHMENT = [
	[ 'label', _('Labels'), _('name=value, added to the events'),
		{ widget: form.DynamicList, check: 'checkPair', placeholder: 'site=plant 7' } ],
	[ 'severity', _('Severity'), _('For events that have none'), { datatype: 'range(1,5)' } ],
	[ 'service', _('Services'), _('For events that name none'),
		{ widget: form.DynamicList, check: 'checkService', placeholder: 'alias=cooling' } ]
];

const BROKER = [
	[ 'enabled', _('Enabled'), null, { widget: form.Flag, initial: '1' } ],
	[ 'url', _('URL'), _('mqtt://host or mqtts://host, with :port if it is not the usual one'),
		{ check: 'checkUrl', placeholder: 'mqtt://192.168.1.2:1883', required: true } ],
	[ 'client_id', _('Client id'),
		_('The broker keeps the session under it, so each router needs its own; by default, the name of the section'), { modal: true } ],
	[ 'out_client_id', _('Client id for publishing'), _('Of the session that publishes; by default, the client id with -out behind it'),
		{ modal: true } ],
	[ 'username', _('User name'), null, { modal: true } ],
	[ 'password', _('Password'), null, { secret: true, modal: true } ],
	[ 'ssl_ca', _('CA'), _('PEM file of the only CAs to trust'), { modal: true } ],
	[ 'ssl_cert', _('Certificate'), _('PEM file; the user ilagent must be able to read it'), { modal: true } ],
	[ 'ssl_key', _('Key'), _('PEM file; the user ilagent must be able to read it'), { modal: true } ],
	[ 'buffer', _('Buffer'), _('Acknowledge messages when they are stored, not when they are delivered'),
		{ widget: form.Flag } ],
	[ 'hold', _('Hold'), _('By default, that of the queue'), { check: 'checkMoment', modal: true } ],
	[ 'qos', _('QoS'), _('0 only with buffer'), { values: [ '0', '1', '2' ], placeholder: '1', modal: true } ],
	[ 'version', _('MQTT version'), _('3 is 3.1.1'), { values: [ '3', '5' ], modal: true } ],
	[ 'keep_alive', _('Keep alive'), null, { check: 'checkTime', placeholder: '60 s', modal: true } ],
	[ 'packet_limit', _('Packet limit'), _('A larger packet becomes a dead letter'),
		{ check: 'checkSize', placeholder: '1 MB', modal: true } ],
	[ 'shared_group', _('Shared group'), _('Share the messages with the other agents of this group'),
		{ modal: true } ],
	[ 'routing', _('Routing'), _('A message goes to every subscription that matches, or to the first'),
		{ values: [ 'every', 'first' ], placeholder: 'every', modal: true } ],
	[ 'status_topic', _('Status topic'), _('Says, retained, whether the agent is there'),
		{ placeholder: 'gateways/7/status', modal: true } ],
	[ 'status_format', _('Status format'), _('text is online or offline, json has counts'),
		{ values: [ 'text', 'json' ], placeholder: 'text', modal: true } ]
];

const event = { depends: [ { kind: 'event' } ], modal: true };
const policy = { depends: [ { kind: 'policy' } ], modal: true };
const publish = { depends: [ { kind: 'publish' } ], modal: true };
const call = { depends: [ { kind: 'call' } ], modal: true };
const SUBSCRIPTION = [
	[ 'enabled', _('Enabled'), null, { widget: form.Flag, initial: '1' } ],
	[ 'broker', _('Broker'), null, { brokers: true, required: true } ],
	[ 'topic', _('Topic filters'), null,
		{ widget: form.DynamicList, check: 'checkTopicFilter', placeholder: 'plant/+/alarms', required: true } ],
	[ 'kind', _('Kind'), null, { choices: [ 'event', 'heartbeat', 'policy', 'publish', 'call' ], widget: form.ListValue, initial: 'event' } ],
	[ 'qos', _('QoS'), _('By default, that of the broker'), { values: [ '0', '1', '2' ], modal: true } ],
	[ 'filter_key', _('Only with member'), _('Only payloads that have this top-level member'), { modal: true } ],
	[ 'filter_value', _('Only with value'), _('Only where that member is this text'), { modal: true } ],
	[ 'integration_key', _('Integration key'), _('Without it, the payload must have one'),
		{ ...event, secret: true } ],
	[ 'forward_payload', _('Forward payload'), _('The whole payload becomes customDetails'),
		{ ...event, widget: form.Flag } ],
	...ENRICHMENT.map(([ name, title, meaning, settings ]) => [ name, title, meaning, { ...settings, ...event } ]),
	[ 'map_event_type', _('Path of the type'), _('Names separated by dots'), event ],
	[ 'map_alert_when', _('ALERT when'), null, event ],
	[ 'map_accept_when', _('ACCEPT when'), null, event ],
	[ 'map_resolve_when', _('RESOLVE when'), null, event ],
	[ 'map_alert_key', _('Path of the alert key'), null, event ],
	[ 'map_summary', _('Path of the summary'), null, event ],
	[ 'map_severity', _('Path of the severity'), null, event ],
	[ 'map_routing_key', _('Path of the routing key'), null, event ],
	[ 'map_label', _('Labels from the payload'), _('name=path'),
		{ ...event, widget: form.DynamicList, check: 'checkPair', placeholder: 'machine=source.0.name' } ],
	[ 'routing_key', _('Routing keys'), _('Members whose values make up the routing key'),
		{ ...policy, widget: form.DynamicList, required: true } ],
	[ 'email', _('Path of the e-mail address'), null, { ...policy, placeholder: 'data.email' } ],
	[ 'shift', _('Path of the level'), null, { ...policy, placeholder: 'data.shift' } ],
	[ 'shift_offset', _('Added to the level'), null, { ...policy, datatype: 'integer', placeholder: '0' } ],
	[ 'to', _('To'), _('Names of brokers (publish) or of webhooks (call)'),
		{ depends: [ { kind: 'publish' }, { kind: 'call' } ], modal: true, widget: form.DynamicList, required: true } ],
	[ 'target', _('Topic there'), _('{1} or {name} is what a wildcard matched'), { ...publish, placeholder: '{topic}' } ],
	[ 'cut_prefix', _('Cut off'), _('Taken from the front of the topic'), publish ],
	[ 'add_prefix', _('Put in front'), _('Put in front of the topic'), publish ],
	[ 'qos_out', _('QoS there'), _('By default, as received'), { ...publish, values: [ '0', '1', '2' ] } ],
	[ 'retain', _('Retain'), _('Whether the broker keeps it for later subscribers; by default, as received'),
		{ ...publish, values: [ '0', '1' ] } ],
	[ 'path', _('Path'), _('Behind the URL of the webhook; {1} or {name} is what a wildcard matched'), call ],
	[ 'format', _('Format'), _('raw is the payload as it came'),
		{ ...call, values: [ 'raw', 'cloudevent', 'cloudevent-binary' ], placeholder: 'raw' } ],
	[ 'order_by', _('Path of the order'), _('Calls with the same text there never overtake each other'), call ]
];

const WEBHOOK = [
	[ 'enabled', _('Enabled'), null, { widget: form.Flag, initial: '1' } ],
	[ 'url', _('URL'), null, { check: 'checkHook', placeholder: 'http://192.168.1.5:5000/orders', required: true } ],
	[ 'method', _('Method'), null, { values: [ 'POST', 'PUT', 'PATCH' ], placeholder: 'POST', modal: true } ],
	[ 'header', _('Headers'), _('name=value'),
		{ widget: form.DynamicList, check: 'checkPair', placeholder: 'X-Site=plant-7', modal: true } ],
	[ 'token', _('Token'), _('Bearer token; or else a user'), { secret: true, modal: true } ],
	[ 'username', _('User name'), null, { modal: true } ],
	[ 'password', _('Password'), null, { secret: true, modal: true } ],
	[ 'ssl_ca', _('CA'), _('PEM file of the only CAs to trust'), { modal: true } ],
	[ 'ssl_cert', _('Certificate'), _('PEM file; the user ilagent must be able to read it'), { modal: true } ],
	[ 'ssl_key', _('Key'), _('PEM file; the user ilagent must be able to read it'), { modal: true } ],
	[ 'timeout', _('Timeout'), _('Maximum time for one call'), { check: 'checkTime', placeholder: '25 s', modal: true } ],
	[ 'in_flight', _('In flight'), _('Maximum number of calls at a time'),
		{ datatype: 'range(1,256)', placeholder: '24', modal: true } ],
	[ 'max_retries', _('Attempts'), _('Before a call becomes a dead letter; 0 never gives up'),
		{ datatype: 'uinteger', placeholder: '100', modal: true } ],
	[ 'back_off', _('First wait'), _('After the first failure; it doubles each time'),
		{ check: 'checkMoment', placeholder: '500 ms', modal: true } ],
	[ 'back_off_max', _('Longest wait'), null, { check: 'checkMoment', placeholder: '60 s', modal: true } ],
	...[ 'delivered', 'later', 'never' ].map(name => [ name, _('Statuses for "%s"').format(name), _('Such as 404 or 5xx'),
		{ widget: form.DynamicList, check: 'checkStatus', modal: true } ])
];

function widget(settings) {
	return settings.widget || (settings.values || settings.brokers ? form.ListValue : form.Value);
}

/* Looked up when the field is drawn, not with the page, so that a broker that was just added is among them. */
function offerBrokers(option) {
	option.load = function(id) {
		this.keylist = [];
		this.vallist = [];
		uci.sections('ilagent', 'broker').forEach(found => this.value(found['.name']));
		return form.ListValue.prototype.load.call(this, id);
	};
}

function addField(section, [ name, title, meaning, settings ]) {
	const option = section.option(widget(settings), name, title, meaning);
	const choices = settings.values || settings.choices || [];
	/* An option that is left out has the agent's default. */
	if (settings.values)
		option.value('', settings.placeholder ? _('default (%s)').format(settings.placeholder) : _('default'));
	choices.forEach(choice => option.value(choice));
	if (settings.brokers)
		offerBrokers(option);
	if (settings.placeholder)
		option.placeholder = settings.placeholder;
	if (settings.initial)
		option.default = settings.initial;
	if (settings.datatype)
		option.datatype = settings.datatype;
	option.password = settings.secret === true;
	option.rmempty = settings.required !== true;
	/* true is "only in the dialog", false "only in the table, as text", and undefined "in both". */
	if (settings.modal)
		option.modalonly = true;
	(settings.depends || []).forEach(condition => option.depends(condition));
	option.validate = (id, value) => {
		if (value === '')
			return true;
		const line = logic.checkLine(value);
		return line === true && settings.check ? logic[settings.check](value) : line;
	};
	return option;
}

function addFields(section, fields) {
	section.anonymous = false;
	fields.forEach(field => addField(section, field));
}

function addNamed(map, name, title, meaning, fields) {
	const section = map.section(form.NamedSection, name, name === 'main' ? 'ilagent' : name, title, meaning);
	section.addremove = name === 'event';
	addFields(section, fields);
}

function addGrid(map, type, title, meaning, fields) {
	const section = map.section(form.GridSection, type, title, meaning);
	section.addremove = true;
	section.sortable = true;
	/* LuCI's row of descriptions is one column off from the heads. */
	section.nodescriptions = true;
	addFields(section, fields);
}

return view.extend({
	load() {
		return uci.load('ilagent');
	},

	render() {
		const map = new form.Map('ilagent', _('ilagent'),
			_('Takes messages in, keeps them safe, and hands them to ilert. The agent checks the settings before it uses them: faults are shown on the status page and in the system log, and a running agent goes on with what it had.'));
		addNamed(map, 'main', _('Agent'), null, MAIN);
		addGrid(map, 'broker', _('Brokers'), _('MQTT brokers to take messages from'), BROKER);
		addGrid(map, 'subscription', _('Subscriptions'),
			_('What to subscribe to, and what it becomes'), SUBSCRIPTION);
		addGrid(map, 'webhook', _('Webhooks'), _('Applications to call over HTTP'), WEBHOOK);
		addNamed(map, 'http', _('HTTP'), null, HTTP);
		addNamed(map, 'ilert', _('ilert'), null, ILERT);
		addNamed(map, 'queue', _('Queue'), _('Where deliveries wait until ilert has them'), QUEUE);
		addGrid(map, 'journal', _('Journals'), _('One line of JSON for each delivery that ilert took'), JOURNAL);
		addNamed(map, 'event', _('Events'), _('Added to every event'), ENRICHMENT);
		return map.render();
	}
});
