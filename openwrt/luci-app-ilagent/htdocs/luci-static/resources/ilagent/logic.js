'use strict';
'require baseclass';

/*
 * What the pages know about values and about the agent's status. A check returns true or says what is wrong,
 * as LuCI's forms expect. The agent itself checks everything again.
 */

const SIZE = /^\d+\s*([kmg]?b?|[kmg]ib)$/i;
const TIME = /^\d+\s*(|s|sec|m|min|h|d)$/i;
const SCHEMES = [ 'mqtt', 'tcp', 'mqtts', 'ssl', 'tls' ];
const WEB_SCHEMES = [ 'ws', 'wss' ];

function checkSize(value) {
	return SIZE.test(value) || _('Expecting a size such as 65536, 64 KB or 8 MB');
}

function checkTime(value) {
	return TIME.test(value) || _('Expecting a time such as 30 s, 5 min or 2 h');
}

/** A time that may be less than a second. */
function checkMoment(value) {
	return /^\d+\s*ms$/i.test(value) || TIME.test(value) || _('Expecting a time such as 500 ms, 30 s or 5 min');
}

function checkStorage(value) {
	return value === 'ram' || value === 'flash' || /^\/./.test(value) ||
		_('Expecting ram, flash or the path of a folder');
}

function checkPath(value) {
	return /^\/.*[^/]\/[^/]+$/.test(value) || _('Expecting the path of a file, such as /var/log/ilagent/sent');
}

function checkUrl(value) {
	const match = /^([a-z]+):\/\/([^/\s@?#]+)([/?][^\s#]*)?$/i.exec(value);
	const schemes = match && match[3] ? WEB_SCHEMES : SCHEMES.concat(WEB_SCHEMES);
	if (!match || schemes.indexOf(match[1].toLowerCase()) < 0)
		return _('Expecting mqtt://host, mqtt://host:port, or mqtts:// for TLS');
	const port = /:(\d+)$/.exec(match[2]);
	return !port || (+port[1] >= 1 && +port[1] <= 65535) || _('Expecting a port from 1 to 65535');
}

function checkTopicFilter(value) {
	const levels = value.split('/');
	/* Wildcards may have names. */
	const wrong = levels.some((level, index) =>
		/[+#]/.test(level.slice(1)) || (level[0] === '#' && index < levels.length - 1));
	if (wrong)
		return _('In a topic filter, + stands for one whole level, and # at the end for the rest; a name may follow');
	return /^[^\u0000]+$/.test(value) || _('Expecting a topic filter');
}

function checkHook(value) {
	return /^https?:\/\/[^/\s@?#]+([/?][^\s#]*)?$/i.test(value) || _('Expecting http://host or https://host, with a path');
}

function checkStatus(value) {
	return /^[2-5](\d\d|xx)$/i.test(value) || _('Expecting a status such as 404 or 5xx');
}

function checkPair(value) {
	return /^[^=]+=[^]/.test(value) || _('Expecting name=value');
}

function checkService(value) {
	return /^alias=./.test(value) || /^id=[1-9]\d*$/.test(value) ||
		_('Expecting alias=NAME or id=NUMBER');
}

/** One line of text: keys, names and passwords have no control characters. */
function checkLine(value) {
	return !/[\u0000-\u001f\u007f]/.test(value) || _('Expecting one line of text');
}

/** Bytes for people, in the units of the configuration. */
function size(bytes) {
	const units = [ 'B', 'KB', 'MB', 'GB' ];
	let unit = 0;
	while (bytes >= 1024 && unit < units.length - 1) {
		bytes /= 1024;
		unit++;
	}
	return '%s %s'.format(unit ? bytes.toFixed(1) : String(bytes), units[unit]);
}

/** Seconds for people. */
function time(seconds) {
	if (seconds < 120)
		return '%d s'.format(seconds);
	if (seconds < 7200)
		return '%d min'.format(Math.floor(seconds / 60));
	if (seconds < 172800)
		return '%d h'.format(Math.floor(seconds / 3600));
	return '%d d'.format(Math.floor(seconds / 86400));
}

function trouble(status) {
	const found = status.trouble;
	if (!found)
		return _('Ready');
	const name = found.name ? '%s %s'.format(found.component, found.name) : found.component;
	return _('Not ready: %s: %s').format(name, found.error || _('not connected'));
}

function session(broker) {
	if (broker.connected && broker.subscriptions_ready)
		return _('connected');
	const state = broker.connected ? _('not all subscriptions are granted') : _('not connected');
	return broker.error ? '%s: %s'.format(state, broker.error) : state;
}

function sink(found) {
	if (found.failing_for_seconds == null)
		return _('working');
	return _('failing for %s: %s').format(time(found.failing_for_seconds), found.error);
}

/**
 * The status of a running agent as sections of rows: { title, rows: [ [ name, words ] ] }.
 */
function sections(status) {
	const queue = status.queue;
	const agent = [
		[ _('State'), trouble(status) ],
		[ _('Version'), status.version ],
		[ _('Running for'), time(status.uptime_seconds) ]
	];
	const waiting = [
		[ _('Waiting'), _('%d deliveries, %s').format(queue.waiting, size(queue.bytes)) ],
		[ _('Oldest'), queue.oldest_age_seconds == null ? '-' : time(queue.oldest_age_seconds) ],
		[ _('Dead letters'), String(queue.dead_letters) ]
	];
	if (queue.full)
		waiting.push([ _('Full'), _('brokers and HTTP clients have to wait') ]);
	if (queue.error)
		waiting.push([ _('Error'), queue.error ]);
	return [
		{ title: _('Agent'), rows: agent },
		{ title: _('Brokers'), rows: status.sessions.map(found => [ found.name, session(found) ]) },
		{ title: _('Queue'), rows: waiting },
		{
			title: _('Delivery'),
			rows: status.sinks.map(found => [
				found.name,
				_('%s; %d delivered, %d failed attempts, %d given up').format(
					sink(found), found.delivered, found.failed_attempts, found.given_up)
			])
		}
	].filter(section => section.rows.length > 0);
}

/* The lines of the init script, without its name in front. */
function lines(text) {
	return (text || '').split('\n').map(line => line.replace(/^ilagent: /, '').trim()).filter(line => line);
}

/** The faults of the settings, as `/etc/init.d/ilagent check` reported them; none if it could not run. */
function faults(result) {
	return result && result.code > 0 ? lines(result.stderr) : [];
}

function refused(found, runs) {
	const words = runs ?
		_('The settings have faults; the agent goes on with what it had') :
		_('The settings have faults; the agent is not started with them');
	return { title: _('Settings'), rows: [ [ _('State'), words ], ...found.map(line => [ _('Fault'), line ]) ] };
}

/**
 * What `/etc/init.d/ilagent agent_status` said, as sections, or one row that says that the agent does not
 * answer. Faults of the settings come first.
 */
function answer(result, found) {
	let status = null;
	try {
		status = result && result.code === 0 ? JSON.parse(result.stdout) : null;
	} catch (error) {
		status = null;
	}
	const runs = !!(status && status.queue && Array.isArray(status.sessions) && Array.isArray(status.sinks));
	const said = lines(result && result.stderr).join('; ') || _('The agent is not running');
	const shown = runs ? sections(status) : [ { title: _('Agent'), rows: [ [ _('State'), said ] ] } ];
	const lives = runs || /^the agent runs/.test(said);
	return found && found.length ? [ refused(found, lives), ...shown ] : shown;
}

return baseclass.extend({
	checkSize, checkTime, checkMoment, checkHook, checkStatus, checkStorage, checkPath, checkUrl, checkTopicFilter, checkPair, checkService, checkLine,
	size, time, faults, answer
});
