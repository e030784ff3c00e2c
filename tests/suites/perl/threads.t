# Perl's threads, as `perldoc threads` describes them: making, joining, contexts, errors, states, ends, "signals".
# Debian ships perl without its tests; these were written from the documentation.
use strict;
use warnings;
use threads;
use threads::shared;
use Test::More;

# ---- making and joining, contexts ----

is(threads->tid(), 0, 'main is thread 0');
is(threads->self()->tid(), 0, 'and finds itself');

my $thr = threads->create(sub { return threads->tid() . join '', @_ }, 'a', 'b');
is($thr->join(), '1ab', 'made in scalar context, with arguments');

my ($list) = threads->create({context => 'list'}, sub { return ('x', @_, 'y') }, 1, 2);
is(join(',', $list->join()), 'x,1,2,y', 'list context: all of it');

my $void = threads->create({void => 1}, sub { return 'nobody asks' });
is($void->wantarray(), undef, 'void context');
is($void->join(), undef, 'nothing comes from it');

sub named { return join '-', map { $_ * 2 } @_ }
is(threads->create('named', 1 .. 5)->join(), '2-4-6-8-10', 'a function by its name');
is(threads->new(\&named, 3)->join(), '6', 'new is create');
is((async { 6 * 7 })->join(), 42, 'async');

my %deep = (list => [1, {two => 'zwei'}]);
is(threads->create(sub { $deep{list}[1]{two} = 'changed'; $deep{list}[1]{two} })->join(), 'changed', 'a thread has its own data');
is($deep{list}[1]{two}, 'zwei', 'and leaves ours');

# ---- identities ----

my @many = map { threads->create(sub { threads->tid() }) } 1 .. 20;
my %seen;
$seen{$_->tid()}++ for @many;
is(scalar(keys %seen), 20, '20 ids are different');
my $same = 0;
for my $t (@many) {
    my $tid = $t->tid();
    $same++ if $t->join() == $tid;
}
is($same, 20, 'each knows its own');

my $t1 = threads->create(sub { 1 });
my $t2 = threads->create(sub { 2 });
ok($t1 != $t2, '!=');
ok($t1 == threads->object($t1->tid()), 'object of an id');
ok(!defined(threads->object(999999)), 'no object of nobody');
$_->join() for $t1, $t2;
ok(!defined(threads->object($t1->tid())), 'none of a joined one');

# ---- states ----

{
    my $go : shared = 0;
    my $there : shared = 0;
    my $t = threads->create(sub {
        lock($go);
        $there = 1;
        cond_broadcast($go);
        cond_wait($go) until $go;
        return 'went';
    });
    { lock($go); cond_wait($go) until $there; }
    ok($t->is_running(), 'runs');
    ok(!$t->is_joinable(), 'cannot be joined yet');
    ok(!$t->is_detached(), 'is not detached');
    is(scalar(threads->list(threads::running)), 1, 'one runs');
    is(scalar(threads->list(threads::joinable)), 0, 'none can be joined');
    { lock($go); $go = 1; cond_broadcast($go); }
    is($t->join(), 'went', 'joined when it had ended');
    is(scalar(threads->list()), 0, 'nobody is left');
    ok(!eval { $t->join(); 1 }, 'cannot be joined twice');
    like($@, qr/already joined/i, 'and says so');
    ok(!eval { $t->detach(); 1 }, 'nor be detached');
}
{
    my $done : shared = 0;
    my $t = threads->create(sub { lock($done); cond_wait($done) until $done; $done = 2; cond_broadcast($done) });
    $t->detach();
    ok($t->is_detached(), 'detached');
    ok(!eval { $t->join(); 1 }, 'cannot be joined');
    lock($done);
    $done = 1;
    cond_broadcast($done);
    cond_wait($done) until $done == 2;
    pass('but ends');
}

# ---- errors and ends ----

{
    local $SIG{__WARN__} = sub { };
    my $t = threads->create(sub { local $SIG{__WARN__} = sub { }; die "on purpose\n" });
    is($t->join(), undef, 'one that died gives nothing');
    is($t->error(), "on purpose\n", 'but the reason');
    is(threads->create(sub { 1 })->error(), undef, 'no error of one that did not');
    $_->join() for threads->list();
    my $o = threads->create(sub { local $SIG{__WARN__} = sub { }; die {code => 17} });
    $o->join();
    is($o->error()->{code}, 17, 'an object as the reason');
}
is(threads->create(sub { threads->exit(); 'not reached' })->join(), undef, 'threads->exit ends one thread');
is(threads->create({exit => 'thread_only'}, sub { exit(9) })->join(), undef, 'exit too, when so asked');
is(threads->create(sub { threads->set_thread_exit_only(1); exit(9) })->join(), undef, 'or asked within');

# ---- signals of Perl's own ----

{
    my $state : shared = 0;
    my $t = threads->create(sub {
        my $hit = 0;
        local $SIG{KILL} = sub { $hit++ };
        { lock($state); $state = 1; cond_broadcast($state); }
        my $turns = 0;
        until ($hit) { select(undef, undef, undef, 0.01); last if ++$turns > 6000 }
        return "hit $hit";
    });
    { lock($state); cond_wait($state) until $state; }
    ok($t->kill('KILL') == $t, 'kill returns the thread');
    is($t->join(), 'hit 1', 'its handler ran');
    my $e = threads->create(sub { local $SIG{TERM} = sub { threads->exit() }; select(undef, undef, undef, 0.01) for 1 .. 6000; 'late' });
    select(undef, undef, undef, 0.1);
    $e->kill('TERM');
    is($e->join(), undef, 'a handler may end its thread');
}

# ---- stacks ----

is(threads->set_stack_size(256 * 1024) >= 0, 1, 'stack size set');
is(threads->get_stack_size(), 256 * 1024, 'and read');
my $big = threads->create({stack_size => 4 * 1024 * 1024}, sub { threads->self()->get_stack_size() });
is($big->join(), 4 * 1024 * 1024, 'for one thread');
sub deep { no warnings 'recursion'; my $n = shift; return $n ? 1 + deep($n - 1) : 0 }
is(threads->create(\&deep, 2000)->join(), 2000, '2000 calls deep');

# ---- threads of threads, many ----

is(threads->create(sub { threads->create(sub { threads->create(sub { 'inner' })->join() . ' of' })->join() . ' outer' })->join(),
    'inner of outer', 'three deep');
{
    my $total = 0;
    for my $round (1 .. 5) {
        my @t = map { my $n = $_; threads->create(sub { threads->yield() for 1 .. 10; $n }) } 1 .. 40;
        $total += $_->join() for @t;
    }
    is($total, 5 * 820, '200 threads, 40 at a time');
}
is(threads->create(sub { my $s = 0; $s += $_ for 1 .. 200000; $s })->join(), 20000100000, 'one that computes');

done_testing();
