'use strict';

const test = require('node:test');
const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
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
		Delivery: [ [ 'ilert', 'works; 12 delivered, 2 failed attempts, 0 given up' ] ]
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

test('an agent that does not answer is told as one', () => {
	for (const [ result, words ] of [
		[ said(1, '', 'the HTTP listener is off\n'), 'the HTTP listener is off' ],
		[ said(4, '', ''), 'The agent does not run' ],
		[ said(0, 'not json', ''), 'The agent does not run' ],
		[ said(0, '{"queue":null}', ''), 'The agent does not run' ],
		[ null, 'The agent does not run' ]
	])
		assert.deepStrictEqual(rows(result), { Agent: [ [ 'State', words ] ] });
});

test('an agent without brokers has no section for them', () => {
	const status = { ...HEALTHY, sessions: [] };
	assert.deepStrictEqual(Object.keys(rows(said(0, JSON.stringify(status)))), [ 'Agent', 'Queue', 'Delivery' ]);
});

test('values are checked as the agent checks them', () => {
	const table = {
		checkSize: [ [ '65536', '64 KB', '8MB', '2 gb', '1 KiB', '7 k' ], [ '', 'KB', '1.5 MB', '-1', '8 TB', '8 MBB' ] ],
		checkTime: [ [ '30', '30 s', '5 min', '2h', '1 d', '4 m' ], [ '', 's', '-1 s', '1 week', '1.5 h', '5 ms' ] ],
		checkStorage: [ [ 'ram', 'flash', '/mnt/usb' ], [ 'usb', '/', '', 'mnt' ] ],
		checkUrl: [
			[ 'mqtt://h', 'mqtts://h:8883', 'tcp://1.2.3.4', 'ssl://h', 'tls://h', 'mqtt://[::1]:1883' ],
			[ 'h', 'http://h', 'ws://h', 'mqtt://', 'mqtt://h:0', 'mqtt://h:70000', 'mqtt://u:p@h', 'mqtt://a b' ]
		],
		checkTopicFilter: [
			[ 'a', 'a/b', '+', '#', 'a/+/b', 'a/#', '/', '$SYS/#', 'a b' ],
			[ 'a/#/b', '#/a', 'a+', 'a/b#', '', 'a/++/b' ]
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

test('the form has every option of the shipped file and no other', () => {
	const type = section => section.kind === 'NamedSection' ? section.type : section.name;
	const fields = Object.fromEntries(settings().sections.map(section =>
		[ type(section), section.options.map(option => option.name).sort() ]));
	const file = shipped();
	/* Any section may be switched off, and the file says so once. */
	for (const name of [ 'broker', 'subscription' ])
		file[name].add('enabled');
	const wanted = Object.fromEntries(Object.entries(file).map(([ name, options ]) => [ name, [ ...options ].sort() ]));
	assert.deepStrictEqual(fields, wanted);
});

test('fields refuse what the agent would refuse, and leave out what is empty', () => {
	const section = name => settings().sections.find(found => found.name === name);
	const field = (name, option) => section(name).options.find(found => found.name === option);
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
	assert.deepStrictEqual(field('subscription', 'routing_key').conditions, [ { kind: 'policy' } ]);
	assert.deepStrictEqual(field('subscription', 'label').conditions, [ { kind: 'event' }, { kind: '' } ]);
	assert.strictEqual(field('broker', 'url').rmempty, false);
});

test('a subscription chooses among the brokers there are', () => {
	const stored = [ { '.type': 'broker', '.name': 'plant' }, { '.type': 'broker', '.name': 'cloud' } ];
	const section = settings(stored).sections.find(found => found.name === 'subscription');
	assert.deepStrictEqual(section.options.find(option => option.name === 'broker').values, [ 'plant', 'cloud' ]);
});

test('the status page asks the agent again and again, and shows words as text', async () => {
	const asked = [];
	const answers = [ said(0, JSON.stringify(HEALTHY)), said(0, JSON.stringify(BROKEN)) ];
	const fsModule = {
		exec(...command) {
			asked.push(command);
			return answers.length ? Promise.resolve(answers.shift()) : Promise.reject(new Error('gone'));
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
	assert.deepStrictEqual(asked[0], [ '/etc/init.d/ilagent', [ 'agent_status' ] ]);
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
		uci: [ 'ilagent' ], file: { '/etc/init.d/ilagent agent_status': [ 'exec' ] }
	});
	assert.deepStrictEqual(rights['luci-app-ilagent'].write, { uci: [ 'ilagent' ] });
	const init = fs.readFileSync(path.join(app, '../ilagent/files/ilagent.init'), 'utf8');
	assert.match(init, /^EXTRA_COMMANDS=".*\bagent_status\b.*"$/m);
});
