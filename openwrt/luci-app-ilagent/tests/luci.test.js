'use strict';

const test = require('node:test');
const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { execSync } = require('node:child_process');
const { app, resources, load, logic, view, forms } = require('./luci.js');

const json = file => JSON.parse(fs.readFileSync(path.join(app, 'root/usr/share', file), 'utf8'));

const HEALTHY = {
	version: '1.2.3', uptime_seconds: 7205, ready: true, trouble: null, stopping: false,
	sessions: [ { name: 'plant', connected: true, subscriptions_ready: true, error: '' } ],
	queue: { waiting: 3, bytes: 2048, full: false, oldest_age_seconds: 61, dead_letters: 1, error: '' },
	sinks: [ {
		name: 'ilert', delivered: 12, failed_attempts: 2, given_up: 0, seconds_since_last_delivery: 3,
		failing_for_seconds: null, oldest_attempt_seconds: null, error: ''
	} ]
};

const BROKEN = {
	version: '1.2.3', uptime_seconds: 5, ready: false, stopping: false,
	trouble: { component: 'mqtt', connected: false, subscriptions_ready: false, error: 'refused', name: 'plant' },
	sessions: [
		{ name: 'plant', connected: false, subscriptions_ready: false, error: 'refused' },
		{ name: 'b', connected: true, subscriptions_ready: false, error: '' }
	],
	queue: {
		waiting: 9, bytes: 9437184, full: true, oldest_age_seconds: null, dead_letters: 0,
		error: '<img src=x onerror=alert(1)>'
	},
	sinks: [ {
		name: 'ilert', delivered: 0, failed_attempts: 7, given_up: 1, seconds_since_last_delivery: null,
		failing_for_seconds: 200000, oldest_attempt_seconds: null, error: '503'
	} ]
};

const said = (code, stdout, stderr) => ({ code, stdout, stderr });
const rows = result => Object.fromEntries(
	logic().answer(result).map(section => [ section.title, section.rows ]));

test('a healthy agent is shown in words', () => {
	assert.deepStrictEqual(rows(said(0, JSON.stringify(HEALTHY))), {
		Agent: [ [ 'State', 'Ready' ], [ 'Version', '1.2.3' ], [ 'Running for', '2 h' ] ],
		Brokers: [ [ 'plant', 'connected' ] ],
		Queue: [ [ 'Waiting', '3 deliveries, 2.0 KB' ], [ 'Oldest', '61 s' ], [ 'Dead letters', '1' ] ],
		Delivery: [ [ 'ilert', 'working; 12 delivered, 2 failed attempts, 0 given up' ] ]
	});
});

test('a broken agent says what is wrong', () => {
	assert.deepStrictEqual(rows(said(0, JSON.stringify(BROKEN))), {
		Agent: [
			[ 'State', 'Not ready: mqtt plant: refused' ], [ 'Version', '1.2.3' ], [ 'Running for', '5 s' ]
		],
		Brokers: [
			[ 'plant', 'not connected: refused' ], [ 'b', 'not all subscriptions are granted' ]
		],
		Queue: [
			[ 'Waiting', '9 deliveries, 9.0 MB' ], [ 'Oldest', '-' ], [ 'Dead letters', '0' ],
			[ 'Full', 'brokers and HTTP clients have to wait' ],
			[ 'Error', '<img src=x onerror=alert(1)>' ]
		],
		Delivery: [ [ 'ilert', 'failing for 2 d: 503; 0 delivered, 7 failed attempts, 1 given up' ] ]
	});
});

test('an agent that does not answer is shown as such', () => {
	for (const [ result, words ] of [
		[ said(1, '', 'ilagent: the agent is off: ilagent.main.enabled is 0\n'), 'the agent is off: ilagent.main.enabled is 0' ],
		[ said(1, '', 'ilagent: the agent is not running\n'), 'the agent is not running' ],
		[ said(4, '', ''), 'The agent is not running' ],
		[ said(0, 'not json', ''), 'The agent is not running' ],
		[ said(0, '{"queue":null}', ''), 'The agent is not running' ],
		[ null, 'The agent is not running' ]
	])
		assert.deepStrictEqual(rows(result), { Agent: [ [ 'State', words ] ] });
});

test('a change that the agent refuses is shown, line by line', () => {
	const check = said(1, '', 'ilagent: ilagent.plant.ssl_ca: this has no effect without TLS\nilagent: ilagent.http.port: `x`\n');
	const found = logic().faults(check);
	assert.deepStrictEqual(found, [ 'ilagent.plant.ssl_ca: this has no effect without TLS', 'ilagent.http.port: `x`' ]);
	const first = result => logic().answer(result, found)[0];
	assert.deepStrictEqual(first(said(0, JSON.stringify(HEALTHY))), {
		title: 'Settings', rows: [
			[ 'State', 'The settings have faults; the agent goes on with what it had' ],
			[ 'Fault', 'ilagent.plant.ssl_ca: this has no effect without TLS' ],
			[ 'Fault', 'ilagent.http.port: `x`' ]
		]
	});
	const silent = said(1, '', 'ilagent: the agent runs, but does not answer at http://127.0.0.1:1/status\n');
	assert.match(first(silent).rows[0][1], /goes on with what it had/);
	assert.match(first(said(1, '', 'ilagent: the agent is not running\n')).rows[0][1], /is not started/);
	for (const fine of [ said(0, '/etc/config/ilagent is right\n', ''), null, undefined ])
		assert.deepStrictEqual(logic().faults(fine), []);
});

test('an agent without brokers has no section for them', () => {
	const status = { ...HEALTHY, sessions: [] };
	assert.deepStrictEqual(Object.keys(rows(said(0, JSON.stringify(status)))), [ 'Agent', 'Queue', 'Delivery' ]);
});

test('values are checked as the agent checks them', () => {
	const table = {
		checkSize: [ [ '65536', '64 KB', '8MB', '2 gb', '1 KiB', '7 k' ], [ '', 'KB', '1.5 MB', '-1', '8 TB', '8 MBB' ] ],
		checkTime: [ [ '30', '30 s', '5 min', '2h', '1 d', '4 m' ], [ '', 's', '-1 s', '1 week', '1.5 h', '5 ms' ] ],
		checkMoment: [ [ '500 ms', '0ms', '30 s', '5 min' ], [ '', 'ms', '1.5 s', '5 us' ] ],
		checkHook: [ [ 'http://h', 'HTTPS://h:1/a?b=c' ], [ 'h', 'ftp://h', 'http://u:p@h', 'http://', 'http://h/ b' ] ],
		checkStatus: [ [ '404', '5xx', '2XX' ], [ '', '40', '600', '101', '4x', 'all' ] ],
		checkStorage: [ [ 'ram', 'flash', '/mnt/usb' ], [ 'usb', '/', '', 'mnt' ] ],
		checkPath: [ [ '/var/log/ilagent/sent', '/a/b c' ], [ 'sent', '/sent', '/a/', '//a', '' ] ],
		checkUrl: [
			[ 'mqtt://h', 'mqtts://h:8883', 'tcp://1.2.3.4', 'ssl://h', 'tls://h', 'mqtt://[::1]:1883', 'ws://h', 'wss://h:8443/a?b' ],
			[ 'h', 'http://h', 'mqtt://h/a', 'ws://h/a#b', 'mqtt://', 'mqtt://h:0', 'mqtt://h:70000', 'mqtt://u:p@h', 'mqtt://a b' ]
		],
		checkTopicFilter: [
			[ 'a', 'a/b', '+', '#', 'a/+/b', 'a/#', '/', '$SYS/#', 'a b', '+line/b/#rest' ],
			[ 'a/#/b', '#/a', 'a+', 'a/b#', '', 'a/++/b', '#rest/a', '+a+' ]
		],
		checkPair: [ [ 'a=b', 'a=b=c', 'a= ' ], [ 'a', '=b', 'a=', '' ] ],
		checkService: [ [ 'alias=x', 'id=7' ], [ 'x', 'id=', 'id=0', 'id=x', 'alias=', 'name=x' ] ],
		checkLine: [ [ 'päß "\'$(x)', '' ], [ 'a\nb', 'a\u0000', '\u007f', 'a\tb' ] ]
	};
	for (const [ name, [ good, bad ] ] of Object.entries(table)) {
		for (const value of good)
			assert.strictEqual(logic()[name](value), true, `${name} of ${JSON.stringify(value)}`);
		for (const value of bad)
			assert.strictEqual(typeof logic()[name](value), 'string', `${name} of ${JSON.stringify(value)}`);
	}
});

/* The options of each section of the shipped file, those in comments included. */
function shipped() {
	const file = path.join(app, '../ilagent/files/ilagent.config');
	const found = {};
	let section = null;
	for (const line of fs.readFileSync(file, 'utf8').split('\n')) {
		const match = /^#?\s*#?\s*(config|option|list) '?(\w+)'?/.exec(line);
		if (!match || !/ '/.test(line))
			continue;
		if (match[1] === 'config')
			section = found[match[2]] = found[match[2]] || new Set();
		else
			section.add(match[2]);
	}
	return found;
}

function settings(stored = []) {
	const { form, uci, maps } = forms(stored);
	const page = load('view/ilagent/settings.js', { form, uci, view, 'ilagent.logic': logic() });
	page.render();
	return maps[0];
}

const typeOf = section => section.constructor.name === 'NamedSection' ? section.type : section.name;
const sectionOf = (map, name) => map.sections.find(found => typeOf(found) === name);

test('the form has every option of the shipped file and no other', () => {
	const fields = Object.fromEntries(settings().sections.map(section =>
		[ typeOf(section), section.children.map(option => option.option).sort() ]));
	const file = shipped();
	/* Any section may be switched off, and the file says so once. */
	for (const name of [ 'broker', 'subscription', 'webhook', 'journal' ])
		file[name].add('enabled');
	const wanted = Object.fromEntries(Object.entries(file).map(([ name, options ]) => [ name, [ ...options ].sort() ]));
	assert.deepStrictEqual(fields, wanted);
});

test('fields refuse what the agent would refuse, and leave out what is empty', () => {
	const field = (name, option) => sectionOf(settings(), name).find(option);
	assert.strictEqual(field('queue', 'limit').validate('queue', '8 MB'), true);
	assert.strictEqual(field('queue', 'limit').validate('queue', ''), true);
	assert.strictEqual(typeof field('queue', 'limit').validate('queue', 'much'), 'string');
	assert.strictEqual(typeof field('ilert', 'api_key').validate('ilert', 'a\nb'), 'string');
	for (const [ name, option ] of [
		[ 'ilert', 'api_key' ], [ 'ilert', 'heartbeat_key' ], [ 'http', 'token' ], [ 'broker', 'password' ],
		[ 'subscription', 'integration_key' ]
	])
		assert.strictEqual(field(name, option).password, true, `${name}.${option}`);
	assert.strictEqual(field('ilert', 'api_host').password, false);
	assert.strictEqual(field('broker', 'url').rmempty, false);
});

test('"add broker" opens a dialog with every option of a broker', async () => {
	const section = sectionOf(settings(), 'broker');
	const dialog = await section.add('second');
	assert.deepStrictEqual(dialog.fields().sort(), [ ...shipped().broker, 'enabled' ].sort());
	for (const name of [ 'enabled', 'url', 'buffer', 'client_id', 'password', 'ssl_ca' ])
		assert.ok(dialog.fields().includes(name), name);
	assert.strictEqual(dialog.values.enabled, '1');
	assert.strictEqual(dialog.find('url').validate('second', 'mqtt://h'), true);
});

test('"add subscription" opens a dialog with what its kind needs', async () => {
	const stored = [ { '.type': 'broker', '.name': 'plant' } ];
	const dialog = await sectionOf(settings(stored), 'subscription').add('alarms');
	const everywhere = [ 'enabled', 'broker', 'topic', 'kind', 'qos', 'filter_key', 'filter_value' ];
	const policies = [ 'routing_key', 'email', 'shift', 'shift_offset' ];
	assert.strictEqual(dialog.values.kind, 'event');
	assert.deepStrictEqual(dialog.choices('kind'), [ 'event', 'heartbeat', 'policy', 'publish', 'call' ]);
	const events = dialog.fields();
	for (const name of [ ...everywhere, 'integration_key', 'forward_payload', 'label', 'service', 'map_summary' ])
		assert.ok(events.includes(name), name);
	for (const name of policies)
		assert.ok(!events.includes(name), name);
	dialog.values.kind = 'heartbeat';
	assert.deepStrictEqual(dialog.fields(), everywhere);
	dialog.values.kind = 'policy';
	assert.deepStrictEqual(dialog.fields(), [ ...everywhere, ...policies ]);
	const routes = { publish: [ 'to', 'target', 'cut_prefix', 'add_prefix', 'qos_out', 'retain' ], call: [ 'to', 'path', 'format', 'order_by' ] };
	for (const [ kind, options ] of Object.entries(routes)) {
		dialog.values.kind = kind;
		assert.deepStrictEqual(dialog.fields(), [ ...everywhere, ...options ]);
	}
	const all = new Set([ ...events, ...policies, ...routes.publish, ...routes.call ]);
	assert.deepStrictEqual([ ...all ].sort(), [ ...shipped().subscription, 'enabled' ].sort());
});

test('a subscription chooses among the brokers there are, also one that was just added', async () => {
	const stored = [ { '.type': 'broker', '.name': 'plant' } ];
	const map = settings(stored);
	await sectionOf(map, 'broker').add('second');
	const dialog = await sectionOf(map, 'subscription').add('alarms');
	assert.deepStrictEqual(dialog.choices('broker'), [ 'plant', 'second' ]);
	const again = await sectionOf(map, 'subscription').dialog('alarms');
	assert.deepStrictEqual(again.choices('broker'), [ 'plant', 'second' ], 'and each once');
});

test('the tables say what the agent does, under the right heads', async () => {
	const stored = [
		{ '.type': 'broker', '.name': 'plant', url: 'mqtt://h' },
		{ '.type': 'subscription', '.name': 'alarms', broker: 'plant', topic: [ 'a', 'b' ] }
	];
	const map = settings(stored);
	const table = await sectionOf(map, 'subscription').table();
	assert.deepStrictEqual(table, {
		heads: [ 'Enabled', 'Broker', 'Topic filters', 'Kind' ], descriptions: null, rows: [ [ '1', 'plant', 'a,b', 'event' ] ]
	});
	const brokers = await sectionOf(map, 'broker').table();
	assert.deepStrictEqual(brokers.heads, [ 'Enabled', 'URL', 'Buffer' ]);
	assert.strictEqual(brokers.descriptions, null);
});

test('the stand-in for LuCI knows the three meanings of modalonly', async () => {
	const { form } = forms([]);
	const section = new form.GridSection('broker');
	section.option(form.Value, 'both');
	section.option(form.Value, 'dialog').modalonly = true;
	section.option(form.Value, 'table').modalonly = false;
	assert.deepStrictEqual(section.columns().map(option => option.option), [ 'both', 'table' ]);
	assert.deepStrictEqual((await section.add('x')).fields(), [ 'both', 'dialog' ]);
});

test('the status page keeps asking the agent, and shows words as text', async () => {
	const asked = [];
	const answers = [ said(0, JSON.stringify(HEALTHY)), said(0, JSON.stringify(BROKEN)) ];
	const checks = [ said(0, 'right', ''), said(1, '', 'ilagent: ilagent.http.port: <b>\n') ];
	const next = list => list.length ? Promise.resolve(list.shift()) : Promise.reject(new Error('gone'));
	const fsModule = {
		exec(...command) {
			asked.push(command);
			return next(command[1][0] === 'check' ? checks : answers);
		}
	};
	let beat = null;
	const poll = { add: (again, seconds) => { beat = again; assert.ok(seconds >= 1); } };
	const page = load('view/ilagent/status.js', { fs: fsModule, poll, view, 'ilagent.logic': logic() });
	const shown = page.render(await page.load());
	assert.match(shown.text, /State Ready .* plant connected/s);
	await beat();
	assert.match(shown.text, /Error <img src=x onerror=alert\(1\)>/);
	await beat();
	assert.match(shown.text, /State gone$/);
	assert.deepStrictEqual(asked.slice(0, 2), [
		[ '/etc/init.d/ilagent', [ 'agent_status' ] ], [ '/etc/init.d/ilagent', [ 'check' ] ]
	]);
	for (let beats = 3; beats <= 6; beats++)
		await beat();
	assert.strictEqual(asked.filter(([ , [ action ] ]) => action === 'check').length, 2, 'a check is dear');
	assert.match(shown.text, /The settings have faults.* Fault ilagent.http.port: <b>/s);
	assert.strictEqual(page.handleSave, null);
});

test('the menu names views that are there, and the rights are those that the views use', () => {
	const menu = json('luci/menu.d/luci-app-ilagent.json');
	const rights = json('rpcd/acl.d/luci-app-ilagent.json');
	for (const entry of Object.values(menu)) {
		if (entry.action.type === 'view')
			assert.ok(fs.existsSync(path.join(resources, 'view', `${entry.action.path}.js`)), entry.action.path);
		for (const name of (entry.depends && entry.depends.acl) || [])
			assert.ok(name in rights, name);
	}
	assert.deepStrictEqual(rights['luci-app-ilagent'].read, {
		uci: [ 'ilagent' ],
		file: { '/etc/init.d/ilagent agent_status': [ 'exec' ], '/etc/init.d/ilagent check': [ 'exec' ] }
	});
	assert.deepStrictEqual(rights['luci-app-ilagent'].write, { uci: [ 'ilagent' ] });
	const init = fs.readFileSync(path.join(app, '../ilagent/files/ilagent.init'), 'utf8');
	for (const command of [ 'agent_status', 'check' ])
		assert.match(init, new RegExp(`^EXTRA_COMMANDS=".*\\b${command}\\b.*"$`, 'm'));
});

test('the line of docs/install.md brings the pages to where a router looks for them', () => {
	const root = path.join(app, '../..');
	const install = fs.readFileSync(path.join(root, 'docs/install.md'), 'utf8');
	const line = /^(tar [^|]*\bluci-app-ilagent\b[^|]*?) \|/m.exec(install.replace(/\\\n\s*/g, ''));
	assert.ok(line, 'there is such a line');
	const listed = execSync(`${line[1]} | tar -tvz`, { cwd: root, encoding: 'utf8' }).trim().split('\n');
	const files = listed.filter(entry => entry.startsWith('-')).map(entry => entry.split(/\s+/).pop());
	assert.deepStrictEqual(files.sort(), [
		'usr/share/luci/menu.d/luci-app-ilagent.json',
		'usr/share/rpcd/acl.d/luci-app-ilagent.json',
		'www/luci-static/resources/ilagent/logic.js',
		'www/luci-static/resources/view/ilagent/settings.js',
		'www/luci-static/resources/view/ilagent/status.js'
	]);
	for (const entry of listed)
		assert.match(entry, /^(-rw-r--r--|drwxr-xr-x) (root\/root|0\/0) /);
});
