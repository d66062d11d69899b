'use strict';
'require fs';
'require poll';
'require view';
'require ilagent.logic as logic';

const SECONDS = 5;

/* A check has the agent read everything once, certificates too, so it is not made at each beat. */
const BEATS_BETWEEN_CHECKS = 6;

function run(action) {
	return fs.exec('/etc/init.d/ilagent', [ action ]);
}

function ask() {
	return run('agent_status').catch(error => ({
		code: 1,
		stderr: String(error.message || error)
	}));
}

/* Who may not check sees the status alone. */
function check() {
	return run('check').catch(() => null).then(logic.faults);
}

/* Words of the agent hold what came from outside, so they are only ever text. */
function tables(result, faults) {
	return logic.answer(result, faults).map(section => E('div', { 'class': 'cbi-section' }, [
		E('h3', {}, [ section.title ]),
		E('table', { 'class': 'table' }, section.rows.map(([ name, words ]) =>
			E('tr', { 'class': 'tr' }, [
				E('td', { 'class': 'td left', 'width': '25%' }, [ name ]),
				E('td', { 'class': 'td left' }, [ words ])
			])))
	]));
}

return view.extend({
	load() {
		return Promise.all([ ask(), check() ]);
	},

	render([ result, faults ]) {
		const body = E('div', {}, tables(result, faults));
		let beats = 0;
		let found = Promise.resolve(faults);
		poll.add(() => {
			beats++;
			if (beats % BEATS_BETWEEN_CHECKS === 0)
				found = check();
			return Promise.all([ ask(), found ]).then(next => body.replaceChildren(...tables(...next)));
		}, SECONDS);
		return E('div', {}, [ E('h2', {}, [ _('ilagent') ]), body ]);
	},

	handleSave: null,
	handleSaveApply: null,
	handleReset: null
});
