# threads::shared, from its documentation: shared data, lock, cond_wait, cond_timedwait, cond_signal, cond_broadcast.
use strict;
use warnings;
use threads;
use threads::shared;
use Time::HiRes qw(time sleep);
use Test::More;

# ---- data ----

my $scalar : shared = 1;
my @array : shared = (1, 2, 3);
my %hash : shared = (one => 1);
threads->create(sub { $scalar = 2; push @array, 4; $hash{two} = 2; delete $hash{one} })->join();
is($scalar, 2, 'a scalar');
is("@array", '1 2 3 4', 'an array');
is(join(',', %hash), 'two,2', 'a hash');
ok(is_shared($scalar), 'is shared');
my $own = 1;
ok(!is_shared($own), 'is not');
ok(!eval { $hash{bad} = [1]; 1 }, 'a reference to what is not shared is refused');
like($@, qr/Invalid value for shared/, 'with the reason');
$hash{list} = shared_clone([1, {a => [2, 3]}]);
threads->create(sub { $hash{list}[1]{a}[1] = 'three' })->join();
is($hash{list}[1]{a}[1], 'three', 'shared_clone, deep');
my $object = shared_clone(bless {n => 5}, 'Thing');
is(threads->create(sub { ref($object) . $object->{n} })->join(), 'Thing5', 'an object keeps its class');

# ---- lock ----

my $count : shared = 0;
my @threads = map {
    threads->create(sub {
        for (1 .. 200) {
            lock($count);
            my $seen = $count;
            threads->yield() if $_ % 20 == 0;
            $count = $seen + 1;
        }
    })
} 1 .. 20;
$_->join() for @threads;
is($count, 4000, 'lock excludes');

{
    my $nested : shared = 0;
    sub again { my $n = shift; lock($nested); $nested++; again($n - 1) if $n }
    $_->join() for map { threads->create(\&again, 10) } 1 .. 5;
    is($nested, 55, 'a lock may be taken again by its holder');
}
{
    my @locked : shared;
    $_->join() for map { my $n = $_; threads->create(sub { lock(@locked); push @locked, $n }) } 1 .. 30;
    is(join(',', sort { $a <=> $b } @locked), join(',', 1 .. 30), 'locks of arrays');
}

# ---- conditions ----

{
    my $turn : shared = 0;
    my $order : shared = '';
    my @t = map {
        my $me = $_;
        threads->create(sub {
            for my $round (1 .. 10) {
                lock($turn);
                cond_wait($turn) until $turn % 5 == $me;
                $order .= $me;
                $turn++;
                cond_broadcast($turn);
            }
        })
    } 0 .. 4;
    $_->join() for @t;
    is($order, '01234' x 10, 'turns by cond_wait and cond_broadcast');
}
{
    my ($slot, $full, $empty) : shared;
    ($full, $empty) = (0, 1);
    my $lock : shared = 0;
    my $consumer = threads->create(sub {
        my $sum = 0;
        for (1 .. 300) {
            lock($lock);
            cond_wait($lock) until $full;
            $sum += $slot;
            ($full, $empty) = (0, 1);
            cond_signal($lock);
        }
        return $sum;
    });
    for my $n (1 .. 300) {
        lock($lock);
        cond_wait($lock) until $empty;
        $slot = $n;
        ($full, $empty) = (1, 0);
        cond_signal($lock);
    }
    is($consumer->join(), 45150, 'one slot, two threads, cond_signal');
}
{
    my $never : shared = 0;
    lock($never);
    my $until = time() + 0.2;
    my $signalled = 1;
    while ($signalled && !$never) { $signalled = cond_timedwait($never, $until) }
    ok(!$signalled, 'cond_timedwait ends');
    ok(time() >= $until - 0.001, 'not before its time');
    ok(!cond_timedwait($never, time() - 5), 'a time that has passed');
}
{
    my $ready : shared = 0;
    my $waiter = threads->create(sub {
        lock($ready);
        $ready = 1;
        cond_signal($ready);
        my $end = time() + 120;
        while ($ready != 2) { last if !cond_timedwait($ready, $end) }
        return $ready == 2 ? 'told' : 'late';
    });
    {
        lock($ready);
        cond_wait($ready) until $ready;
        $ready = 2;
        cond_signal($ready);
    }
    is($waiter->join(), 'told', 'cond_timedwait that is signalled');
}
{
    my $gate : shared = 0;
    my $through : shared = 0;
    my $at : shared = 0;
    my @t = map {
        threads->create(sub {
            lock($gate);
            $at++;
            cond_broadcast($gate);
            cond_wait($gate) until $gate;
            $through++;
        })
    } 1 .. 50;
    { lock($gate); cond_wait($gate) until $at == 50; $gate = 1; cond_broadcast($gate); }
    $_->join() for @t;
    is($through, 50, 'a broadcast wakes all 50');
}

done_testing();
